"""Migrations of 0.1.0 are what they were, and later ones only follow them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from django.db.migrations.loader import MigrationLoader

from aforo.serving.database_schema import MARK_OF_FORMER
from tests.test_architecture import ROOT

# Written once, as 0.1.0 was frozen; `sha256sum --check` reads it too.
FROZEN = Path(__file__).parent / "migrations_of_0_1_0.sha256"
APPS = ("access", "billing", "ledger", "pricing", "sandbox", "wallets", "webhooks")


def frozen() -> dict[str, str]:
    """Return the hashes of the migrations of 0.1.0 by their paths."""
    lines = FROZEN.read_text().splitlines()
    return {path: digest for digest, path in (line.split(maxsplit=1) for line in lines)}


def migrations() -> Iterator[Path]:
    yield from sorted(ROOT.glob("*/migrations/[0-9]*.py"))
    yield from sorted(ROOT.glob("aforo/*/migrations/[0-9]*.py"))


@pytest.mark.parametrize("path", frozen())
def test_a_migration_of_the_first_version_is_never_changed(path: str) -> None:
    assert hashlib.sha256((ROOT / path).read_bytes()).hexdigest() == frozen()[path], (
        "Databases have applied it: what changes is a migration after it."
    )


def test_every_app_began_with_the_first_version() -> None:
    first = {str(path.relative_to(ROOT)) for path in migrations() if path.name[:4] == "0001"}
    assert len(first) == len(APPS)
    assert first <= frozen().keys()


def test_migrations_of_an_app_are_one_row_in_the_order_of_their_names() -> None:
    graph = MigrationLoader(None).graph
    for app in APPS:
        names = sorted(name for label, name in graph.nodes if label == app)
        assert [name[:4] for name in names] == [f"{n:04}" for n in range(1, len(names) + 1)]
        for before, after in pairwise(names):
            assert (app, before) in graph.nodes[app, after].dependencies
    assert MARK_OF_FORMER not in graph.nodes


def test_every_migration_can_be_taken_back() -> None:
    nodes = MigrationLoader(None).disk_migrations
    operations = [
        (label, name, operation)
        for (label, name), migration in nodes.items()
        if label in APPS
        for operation in migration.operations
    ]
    assert operations
    assert [each for each in operations if not each[2].reversible] == []
