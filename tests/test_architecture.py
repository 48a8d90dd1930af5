"""What no linter knows of this house: where locks are taken, who reads the clock, no floats."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
APPS = ["aforo", "ledger", "pricing", "wallets", "billing"]
# Edges read the clock, and the seam that gives a customer's time.
CLOCK_READERS = {
    "api", "admin", "pages", "tasks", "management", "quickstart", "access", "sandbox",
    "devdb", "serving", "observability",
}  # fmt: skip


def sources() -> Iterator[tuple[str, ast.AST]]:
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            if "migrations" not in path.parts:
                yield str(path.relative_to(ROOT)), ast.parse(path.read_text())


def calls(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def statements(tree: ast.AST) -> Iterator[str]:
    """Return the texts in code that are no docstring."""
    plain = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in plain:
            yield node.value


def locks_rows(tree: ast.AST) -> bool:
    """Return whether code locks rows, by the ORM or in SQL."""
    by_orm = any(name.endswith("select_for_update") for name in calls(tree))
    return by_orm or any(re.search(r"\bFOR (NO |KEY |UPDATE|SHARE|$)", s) for s in statements(tree))


def test_rows_are_locked_in_locks_only() -> None:
    found = {path for path, tree in sources() if locks_rows(tree)}

    assert found == {"aforo/webhooks/locks.py", "billing/locks.py", "ledger/locks.py"}


def test_what_follows_a_commit_never_decides_the_answer() -> None:
    """One function contains what fails after a commit; nobody asks the framework for it himself."""
    found = {
        path for path, tree in sources() if any(name.endswith("on_commit") for name in calls(tree))
    }

    assert found == {"aforo/database/after_commit.py"}


@pytest.mark.parametrize("clock", ["timezone.now", "datetime.now", "date.today", "time.time"])
def test_the_domain_never_reads_the_clock(clock: str) -> None:
    readers = {
        path
        for path, tree in sources()
        if any(name.endswith(clock) for name in calls(tree))
        and not CLOCK_READERS & {*Path(path).parts, Path(path).stem}
    }

    assert readers == set()


def test_there_is_no_float() -> None:
    apps = ("ledger", "pricing", "wallets", "billing")
    found = {
        path
        for path, tree in sources()
        if path.startswith(apps) and any(name == "float" for name in calls(tree))
    }

    assert found == set()


def test_files_stay_small() -> None:
    """Of code and of tests alike."""
    lines = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for folder in (*APPS, "tests")
        for path in (ROOT / folder).rglob("*.py")
        if "migrations" not in path.parts
    }
    long = {path: count for path, count in lines.items() if count > 400}

    assert long == {}


def is_edge(path: str) -> bool:
    return bool({"admin", "adminui", "api", "pages"} & {*Path(path).parts, Path(path).stem})


def test_edges_never_write_a_model() -> None:
    """Views, forms and admins call services; none of them writes by itself."""
    writes = re.compile(
        r"\.(save|save_m2m|bulk_create|bulk_update|get_or_create|update_or_create|delete)$"
        r"|\.objects\.create$|\.objects\b.*\.update$"
    )
    found = {
        (path, name)
        for path, tree in sources()
        if is_edge(path)
        for name in calls(tree)
        if writes.search(name)
    }

    assert found == set()
