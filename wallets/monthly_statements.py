"""A customer's month: what each wallet had, every movement with its cause, and what was left.

A movement belongs to the month of its entry in the books, which a close never moves, so a statement
of a closed month stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from dateutil.relativedelta import relativedelta
from django.db import connection

from aforo.database.snapshot import snapshot
from aforo.errors import FieldError, Invalid, InvariantBroken
from aforo.money import ZERO
from ledger.models import Book
from wallets.reports.lots import MOVEMENTS

MOST = 100_000

# Of each wallet, what it had when the month began, and when it was over.
_BALANCES = f"""
    SELECT w.currency, metric.code,
        coalesce(sum(m.quantity * side.sign) FILTER (WHERE e.accounting_date < %(starts_on)s), 0),
        coalesce(sum(m.quantity * side.sign), 0)
    FROM {MOVEMENTS}
    LEFT JOIN wallets_wallet w ON w.id = lot.wallet_id
    LEFT JOIN wallets_unitwallet u ON u.id = lot.unit_wallet_id
    LEFT JOIN pricing_metric metric ON metric.id = u.metric_id
    WHERE e.book_id = %(book)s AND e.accounting_date < %(ends_on)s
    GROUP BY 1, 2 ORDER BY 1 NULLS LAST, 2
"""  # noqa: S608
_LINES = f"""
    SELECT w.currency, metric.code, e.occurred_at, m.kind, e.event, lot.kind, lot.source,
        m.quantity * side.sign, lot.id, e.id
    FROM {MOVEMENTS}
    LEFT JOIN wallets_wallet w ON w.id = lot.wallet_id
    LEFT JOIN wallets_unitwallet u ON u.id = lot.unit_wallet_id
    LEFT JOIN pricing_metric metric ON metric.id = u.metric_id
    WHERE e.book_id = %(book)s
        AND e.accounting_date >= %(starts_on)s AND e.accounting_date < %(ends_on)s
    ORDER BY e.sequence, m.position LIMIT {MOST + 1}
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One movement: what went in, or (below zero) out, and what the wallet had then."""

    occurred_at: datetime
    kind: str
    cause: str
    credit: str
    source: str
    quantity: Decimal
    balance: Decimal
    lot: UUID
    entry: UUID


@dataclass(slots=True)
class WalletMonth:
    """A wallet's month: of money in a currency, or of units of a metric."""

    currency: str | None
    metric: str | None
    opening: Decimal
    closing: Decimal
    lines: list[StatementLine] = field(default_factory=list)

    @property
    def sums(self) -> dict[str, Decimal]:
        """Return what came in, or went out, by kind of movement."""
        found: dict[str, Decimal] = {}
        for line in self.lines:
            found[line.kind] = found.get(line.kind, ZERO) + line.quantity
        return found


def of_month(*, book: Book, month: date) -> list[WalletMonth]:
    """Return the month that begins on a day, wallet by wallet, those of money first.

    Raises: Invalid (`too_many`) for more than a statement can have.
    """
    asked: dict[str, int | date] = {
        "book": book.pk,
        "starts_on": month,
        "ends_on": month + relativedelta(months=1),
    }
    with snapshot(), connection.cursor() as cursor:
        cursor.execute(_BALANCES, asked)
        wallets = {
            (currency, metric): WalletMonth(currency, metric, opening, closing)
            for currency, metric, opening, closing in cursor.fetchall()
        }
        cursor.execute(_LINES, asked)
        rows = cursor.fetchall()
    if len(rows) > MOST:
        detail = f"More than {MOST} movements: read them by GET /v1/wallets/{book.key}/movements."
        raise Invalid([FieldError("/period", "too_many", detail)])
    for currency, metric, *row in rows:
        wallet = wallets[currency, metric]
        wallet.lines.append(_line(wallet, *row))
    for wallet in wallets.values():
        _check(wallet)
    return list(wallets.values())


def _line(
    wallet: WalletMonth,
    occurred_at: datetime,
    kind: str,
    event: str,
    credit: str,
    source: str,
    quantity: Decimal,
    lot: UUID,
    entry: UUID,
) -> StatementLine:
    before = wallet.lines[-1].balance if wallet.lines else wallet.opening
    return StatementLine(
        occurred_at, kind, event, credit, source, quantity, before + quantity, lot, entry
    )


def _check(wallet: WalletMonth) -> None:
    """Check that opening and movements come to the closing, which was added up by itself."""
    reached = wallet.lines[-1].balance if wallet.lines else wallet.opening
    if reached != wallet.closing:
        named = wallet.currency or wallet.metric
        raise InvariantBroken(f"{named}: {reached:f} by its movements is not {wallet.closing:f}.")


def table(wallets: list[WalletMonth]) -> Iterator[list[str]]:
    """Return a statement as rows of a file: a heading, then each wallet from opening to closing."""
    yield [
        "wallet", "occurred_at", "what", "cause", "credit", "source", "quantity", "balance", "lot",
        "entry",
    ]  # fmt: skip
    for wallet in wallets:
        named = wallet.currency or wallet.metric or ""
        yield [named, "", "OPENING", "", "", "", "", f"{wallet.opening:f}", "", ""]
        for line in wallet.lines:
            yield [
                named, line.occurred_at.isoformat(), line.kind, line.cause, line.credit,
                line.source, f"{line.quantity:f}", f"{line.balance:f}", str(line.lot),
                str(line.entry),
            ]  # fmt: skip
        yield [named, "", "CLOSING", "", "", "", "", f"{wallet.closing:f}", "", ""]
