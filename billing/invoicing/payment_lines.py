"""Payments as files of banks and callers say them, and the invoices that their text names. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from aforo import money


@dataclass(frozen=True, slots=True)
class PaymentLine:
    """A payment that came to a bank account."""

    account: str
    booked_on: date
    amount: Decimal
    currency: str
    bank_reference: str = ""
    text: str = ""
    payer: str = ""
    customer_id: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a line of a file is refused."""

    detail: str


def with_references(
    lines: Iterable[tuple[int, PaymentLine | Fault]],
) -> Iterator[tuple[int, PaymentLine | Fault]]:
    """Return the lines of a file, those without a reference of the bank with a hash of what they
    say; two that say the same are two payments, the first and the second of the file.
    """
    seen: dict[str, int] = {}
    for number, line in lines:
        if isinstance(line, Fault) or line.bank_reference:
            yield number, line
            continue
        said = [
            line.account, line.booked_on.isoformat(), money.plain(line.amount), line.currency,
            line.text, line.payer,
        ]  # fmt: skip
        digest = hashlib.sha256("\n".join(said).encode()).hexdigest()
        seen[digest] = seen.get(digest, 0) + 1
        yield number, replace(line, bank_reference=f"sha256:{digest}:{seen[digest]}")


def named_numbers(text: str, prefixes: Iterable[str]) -> list[str]:
    """Return the numbers of invoices that a text names, in its order, each once.

    People leave out zeros and signs: of the series INV-, "inv 42" is INV-000042.
    """
    found: list[tuple[int, str]] = []
    for prefix in prefixes:
        letters = r"[\W_]*".join(re.escape(part) for part in re.findall(r"[A-Za-z0-9]+", prefix))
        for match in re.finditer(
            rf"(?<![A-Za-z0-9]){letters}[\W_]*(\d+)(?!\d)", text, re.IGNORECASE
        ):
            number = match.group(1).lstrip("0")
            found.append((match.start(), f"{prefix}{number.zfill(6)}"))
    return list(dict.fromkeys(name for _, name in sorted(found)))
