"""What stands once: numbers of locks, zero, escapes, errors by name, and the codes of accounts."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from aforo.database import advisory_locks
from aforo.protocol import pointers
from ledger.chart import DEFAULT_CHART
from ledger.posting_rules import parts

ROOT = Path(__file__).parent.parent
CODES = {code for code, *_ in DEFAULT_CHART}


def sources() -> Iterator[tuple[str, ast.Module]]:
    for app in ("aforo", "ledger", "pricing", "wallets", "billing"):
        for path in sorted((ROOT / app).rglob("*.py")):
            if "migrations" not in path.parts:
                yield str(path.relative_to(ROOT)), ast.parse(path.read_text())


def texts(tree: ast.AST) -> Iterator[str]:
    """Yield the texts of the code; docstrings are prose."""
    prose = {id(each.value) for each in ast.walk(tree) if isinstance(each, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value


def names_accounts(text: str) -> set[str]:
    """Find the accounts that a text names: by itself, or quoted inside of SQL."""
    return CODES & {text, *re.findall(r"'(\d{4})'", text)}


def test_account_codes_stand_in_the_chart_and_the_posting_rules() -> None:
    found = {
        path: codes
        for path, tree in sources()
        if (codes := set().union(*map(names_accounts, texts(tree))))
    }

    assert set(found) == {"ledger/chart.py", "ledger/posting_rules/parts.py"}
    named = [value for value in vars(parts).values() if isinstance(value, str) and value in CODES]
    assert Counter(named) == Counter(found["ledger/posting_rules/parts.py"])


def test_what_names_an_account_is_found() -> None:
    assert names_accounts("2100") == {"2100"}
    assert names_accounts("WHERE p.debit_id IN ('2100', '1100')") == {"2100", "1100"}
    assert names_accounts("2100 = lots") == set()


def test_advisory_locks_take_their_numbers_from_the_registry() -> None:
    numbers = [value for value in vars(advisory_locks).values() if isinstance(value, int)]
    takers = {path for path, tree in sources() if any("pg_advisory" in s for s in texts(tree))}

    assert len(set(numbers)) == len(numbers) == 5
    assert takers == {"aforo/webhooks/locks.py", "billing/locks.py", "ledger/locks.py"}
    for path in takers:
        assert not re.search(r"pg_advisory\w*\(\d", (ROOT / path).read_text())


def test_zero_is_defined_once() -> None:
    found = [
        path
        for path, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node) in {"Decimal(0)", "Decimal('0')"}
    ]

    assert found == ["aforo/money.py"]


def test_pointers_are_escaped_once() -> None:
    found = {path for path, tree in sources() if {"~0", "~1"} & set(texts(tree))}

    assert found == {"aforo/protocol/pointers.py"}
    assert pointers.escape("a/b~c~1") == "a~1b~0c~01"


def test_an_error_has_one_class() -> None:
    names = Counter(
        node.name
        for _, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and any(ast.unparse(line).startswith("default_code = ") for line in node.body)
    )

    assert names["UnknownReservation"] == 1
    assert [name for name, times in names.items() if times > 1] == []


def test_the_credit_journal_alone_moves_credits() -> None:
    """Lots are read everywhere, made and changed in one file; a dispute only freezes them."""
    writes = re.compile(
        r"\b(CreditLot|Movement)\.objects\b.*\.(create|bulk_create|update|bulk_update|delete)\("
        r"|\b(bulk|writes)\.(insert_models|insert_rows|update_rows)\((CreditLot|Movement)\b"
        r"|\blot\.(save|delete)\("
    )
    found = {
        (path, code)
        for path, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and writes.search(code := ast.unparse(node))
    }

    beside = {code for path, code in found if path != "wallets/lots/credit_journal.py"}
    assert beside == {
        f"CreditLot.objects.filter(top_up=bought).update(frozen_at={moment})"
        for moment in ("now", "None")
    }
    assert len(found) > len(beside)


def test_there_is_one_form_system() -> None:
    """Forms of pages have the theme's widgets from one base, and are rendered by one template."""
    by_hand = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "templates").rglob("*.html")
        if re.search(r"<(form|input|select|textarea|button)\b", path.read_text())
    }
    plain_forms = {
        path
        for path, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and "forms.Form" in map(ast.unparse, node.bases)
    }

    assert by_hand == {"templates/adminui/form.html"}
    assert plain_forms == {"aforo/adminui/forms.py"}
