"""What lots held at the end of a scope, added up from their movements, and their facts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection

from aforo.money import ZERO
from ledger import posting_rules
from ledger.reports.details.journal import LotFacts
from ledger.reports.report_table import ReportScope
from ledger.reports.totals import sums

# The column that a scope's currency is of, in statements about movements.
CURRENCY = "lot.currency"

# Which movements put into a lot and which take out of it; a hold, its release and a rollover do
# neither.
SIGNS = """
    (VALUES ('GRANT', 1), ('REVERSE', 1), ('BURN', -1), ('EXPIRE', -1), ('REFUND', -1),
        ('ADJUST', -1)) AS side(kind, sign)
"""
MOVEMENTS = """
    wallets_movement m
    JOIN {signs} ON side.kind = m.kind
    JOIN ledger_entry e ON e.id = m.entry_id
    JOIN ledger_book b ON b.id = e.book_id
    JOIN wallets_creditlot lot ON lot.id = m.lot_id
""".replace("{signs}", SIGNS)

_CARRIED = """
    SELECT lot.kind, lot.source, lot.currency, sum(m.carrying * side.sign)
    FROM {movements}
    WHERE {scope} AND lot.currency <> ''
    GROUP BY lot.kind, lot.source, lot.currency
"""

_FACTS = """
    SELECT m.entry_id, m.lot_id, lot.wallet_id, lot.unit_wallet_id,
        coalesce(metric.code, lot.credit_unit), lot.kind, m.quantity
    FROM wallets_movement m
    JOIN wallets_creditlot lot ON lot.id = m.lot_id
    LEFT JOIN wallets_unitwallet unit ON unit.id = lot.unit_wallet_id
    LEFT JOIN pricing_metric metric ON metric.id = unit.metric_id
    WHERE m.entry_id = ANY(%s)
"""


def fetch(
    template: str, scope: ReportScope, extra: Mapping[str, Any] | None = None
) -> list[tuple[Any, ...]]:
    """Run a statement about movements that returns few rows."""
    put = template.replace("{movements}", MOVEMENTS)
    return sums.fetch(put, scope, extra, currency=CURRENCY)


def stream(template: str, scope: ReportScope) -> Iterator[tuple[Any, ...]]:
    """Run a statement about movements of any number of rows, in bounded memory."""
    return sums.stream(template.replace("{movements}", MOVEMENTS), scope, currency=CURRENCY)


def carried(scope: ReportScope) -> dict[tuple[str, str], Decimal]:
    """Sum what lots still carried, by liability account and currency."""
    found: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for kind, source, currency, amount in fetch(_CARRIED, scope):
        found[posting_rules.liability(kind=kind, source=source), currency] += amount
    return found


def facts_of(entries: Collection[UUID]) -> Mapping[tuple[UUID, UUID], LotFacts]:
    """Read, for the lots that entries moved, the wallet, the kind, and how many units."""
    with connection.cursor() as cursor:
        cursor.execute(_FACTS, [list(entries)])
        found = cursor.fetchall()
    facts: dict[tuple[UUID, UUID], LotFacts] = {}
    for entry, lot, wallet, unit_wallet, metric, kind, quantity in found:
        key = (entry, lot)
        units = facts[key].units if key in facts else ZERO
        name = f"unit-{unit_wallet}" if wallet is None else str(wallet)
        facts[key] = LotFacts(name, kind, units + quantity, metric or "")
    return facts
