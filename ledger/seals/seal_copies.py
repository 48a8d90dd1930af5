"""The copies of the seals, kept in a directory outside the database (SEALS_DIR).

The directory belongs where people who can write to the database cannot write: the proof of the
seals is worth no more than that. A copy is written in one step and never over another one.
"""

from __future__ import annotations

import os
from pathlib import Path

from django.conf import settings

from aforo.errors import Conflict


class CopyDiffers(Conflict):
    """The copy of a seal is not what the database has.

    Run `manage.py verify_ledger`, and find out which of the two was changed.
    """

    default_code = "seal_copy_differs"


def path_of(*, livemode: bool, number: int) -> Path:
    """Return where the copy of a seal belongs."""
    return Path(settings.SEALS_DIR) / f"{_mode(livemode)}-{number:06d}.json"


def _mode(livemode: bool) -> str:  # noqa: FBT001
    return "live" if livemode else "sandbox"


def read_copy(*, livemode: bool, number: int) -> str | None:
    """Read a copy; None where there is none."""
    try:
        return path_of(livemode=livemode, number=number).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def numbers_after(*, livemode: bool, number: int) -> list[int]:
    """Return the numbers of the copies that come after a seal, in order."""
    found = Path(settings.SEALS_DIR).glob(f"{_mode(livemode)}-*.json")
    names = (path.stem.partition("-")[2] for path in found)
    return sorted(int(name) for name in names if name.isdigit() and int(name) > number)


def write_copy(*, livemode: bool, number: int, text: str) -> None:
    """Write a copy to disk, complete or not at all; one that is there already must be the same.

    The seals of the mode must be locked. Raises: CopyDiffers.
    """
    path = path_of(livemode=livemode, number=number)
    kept = read_copy(livemode=livemode, number=number)
    if kept is None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # What a process that was killed left of this is written anew.
        unfinished = path.with_suffix(".unfinished")
        with unfinished.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.chmod(0o444)
        unfinished.replace(path)
        _sync(path.parent)
    elif kept != text:
        raise CopyDiffers(f"The seal {number} is not what its copy says: {path}.")


def _sync(directory: Path) -> None:
    """Write a directory's list of names to disk."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
