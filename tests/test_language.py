"""Docstrings begin with an ordinary verb; ruff (D401) sees to the imperative, this to the verb."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = ("aforo", "billing", "ledger", "pricing", "tests", "wallets")
# Words that say what a sentence does instead of what the code does: Return, Check, Write, Read ...
BANNED = frozenset(
    [
        *("Be", "Bring", "Give", "Gives", "Hand", "Have", "Hold", "Holds", "Keep", "Keeps", "Lead"),
        *("Let", "Lets", "Name", "Names", "Offer", "Put", "Say", "Says", "Show", "Shows", "Take"),
        *("Takes", "Tell", "Tells"),
    ]
)


def test_docstrings_begin_with_an_ordinary_verb() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {docstring.splitlines()[0]}"
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if (docstring := ast.get_docstring(node))
        if docstring.split()[0].rstrip(",.:;") in BANNED
    ]
    assert not wrong, "\n".join(wrong)
