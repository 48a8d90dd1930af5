"""Compare the thresholds of a customer with its wallets, and write what was crossed.

Whether a threshold is crossed is kept with it, so each crossing is told once, and so is its
recovery.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any, Final
from uuid import UUID

from aforo import money
from aforo.money import ZERO
from aforo.webhooks.models import EventType, OutboxEvent
from aforo.webhooks.services import Notice, emit
from ledger.models import Book
from wallets import statements
from wallets.alerts import spending, thresholds
from wallets.lots import queries
from wallets.models import (
    AlertThreshold,
    AlertUnit,
    CreditLot,
    Movement,
    MovementKind,
    UnitWallet,
    Wallet,
)

# The pace of a week changes with every minute: a runway has recovered once it is a tenth longer.
_LONGER: Final = Decimal("1.1")
_SPENT: Final = {AlertUnit.SPENT_PER_DAY, AlertUnit.SPENT_PER_MONTH}


@dataclass(frozen=True, slots=True)
class Told:
    """What others are told of a threshold: its event's type and facts, and a name for it that no
    other has.
    """

    threshold: AlertThreshold
    type: str
    facts: Mapping[str, Any]
    sameness: str


def check(*, book: Book, pending: Mapping[str, Decimal], now: datetime) -> list[Told]:
    """Compare all thresholds of a locked book with its wallets; write the events and return them.

    `pending` is metered usage that is not burned yet, by currency and by metric code, as statements
    take it.
    """
    rows = thresholds.of_book(book)
    shown: Any = statements.statement(book=book, now=now, pending=pending)
    balances = {
        **{("currency", each["currency"]): each for each in shown["wallets"]},
        **{("metric", each["metric"]): each for each in shown["unit_wallets"]},
    }
    figures: dict[tuple[str, str], _Figures] = {}
    told: list[Told] = []
    for row in rows:
        (unit,) = row.of.unit.items()
        if unit not in figures:
            figures[unit] = _Figures(book, row.of, balances[unit], shown["lots"], now)
        told += _expiring(row, figures[unit]) if _is_of_lots(row) else _crossed(row, figures[unit])
    told = _unknown(book, told)
    emit(
        [
            Notice(book.livemode, book.key, each.type, each.facts, now, each.sameness)
            for each in told
        ]
    )
    return told


@dataclass
class _Figures:
    """The figures of a wallet, each read when a threshold first asks for it."""

    book: Book
    wallet: Wallet | UnitWallet
    balance: Mapping[str, Any] = field(repr=False)
    all_lots: Sequence[Mapping[str, Any]] = field(repr=False)
    now: datetime

    @property
    def available(self) -> Decimal:
        """Return what can be spent, less metered usage that is not burned yet."""
        pending: Decimal = self.balance["pending"]
        return max(Decimal(self.balance["available"]) - pending, ZERO)

    @cached_property
    def full(self) -> Decimal:
        """Return what the wallet had when credits last came in; zero where none ever did."""
        lots = CreditLot.objects.filter(
            **{"wallet" if isinstance(self.wallet, Wallet) else "unit_wallet": self.wallet}
        )
        newest = lots.order_by("-granted_at", "-id").values("pk")[:1]
        granted = Movement.objects.filter(lot=newest, kind=MovementKind.GRANT).values("entry")[:1]
        came = Movement.objects.filter(entry=granted, lot__in=lots).order_by("-position")
        return came.values_list("wallet_balance_after", flat=True).first() or ZERO

    @cached_property
    def days(self) -> Mapping[date, Decimal]:
        """Return what was spent a day."""
        return spending.by_day(book=self.book, wallet=self.wallet, now=self.now)

    @property
    def lots(self) -> list[Mapping[str, Any]]:
        """Return the wallet's lots that can be spent and expire, the first to expire first."""
        mine = [
            lot
            for lot in self.all_lots
            if self.wallet.unit.items() <= lot.items()
            and lot["expires_at"] is not None
            and lot["frozen_at"] is None
            and lot["remaining"] > lot["held"]
            and lot["effective_at"] <= self.now < lot["expires_at"]
        ]
        return sorted(mine, key=lambda lot: (lot["expires_at"], lot["lot"]))

    def value(self, unit: str) -> Decimal | None:
        """Return the figure that a threshold is compared with; None where there is none."""
        match unit:
            case AlertUnit.AMOUNT:
                return self.available
            case AlertUnit.PERCENT:
                hundred = Decimal(100)
                return money.proportion(self.available, hundred, self.full) if self.full else None
            case AlertUnit.RUNWAY_DAYS:
                return spending.runway(self.days, self.available, self.now)
            case AlertUnit.SPENT_PER_DAY:
                return spending.today(self.days, self.now)
        return spending.this_month(self.days, self.now)


def _is_of_lots(row: AlertThreshold) -> bool:
    return row.unit == AlertUnit.EXPIRING_DAYS


def _crossed(row: AlertThreshold, figures: _Figures) -> list[Told]:
    """Write whether a threshold is crossed; return what is told of it if that has changed."""
    value = figures.value(row.unit)
    is_crossed = _is_crossed(row, value)
    if is_crossed == (row.crossed_at is not None):
        return []
    row.crossed_at = figures.now if is_crossed else None
    row.save(update_fields=["crossed_at"])
    facts = {
        **row.of.unit,
        "state": "CROSSED" if is_crossed else "RECOVERED",
        "unit": row.unit,
        "at": row.at,
        "value": value,
        "available": figures.available,
    }
    return [Told(row, EventType.WALLET_ALERT, facts, "")]


def _is_crossed(row: AlertThreshold, value: Decimal | None) -> bool:
    if value is None:
        return False
    if row.unit in _SPENT:
        return value >= row.at
    is_held = row.unit == AlertUnit.RUNWAY_DAYS and row.crossed_at is not None
    return value <= (row.at * _LONGER if is_held else row.at)


def _expiring(row: AlertThreshold, figures: _Figures) -> list[Told]:
    """Return what is told of the lots that expire within a threshold's days."""
    soon = figures.now + timedelta(days=int(row.at))
    return [
        Told(
            row,
            EventType.CREDITS_EXPIRING,
            {
                "lot": lot["lot"],
                "kind": lot["kind"],
                **queries.measured(row.of, lot["remaining"] - lot["held"]),
                "expires_at": lot["expires_at"],
                "days": row.at,
            },
            f"{EventType.CREDITS_EXPIRING}:{money.plain(row.at)}:{lot['lot']}:"
            f"{lot['expires_at'].isoformat()}",
        )
        for lot in figures.lots
        if lot["expires_at"] <= soon
    ]


def _unknown(book: Book, told: Sequence[Told]) -> list[Told]:
    """Return what has not been told yet: of a lot once for each threshold and each end of it."""
    named = [each.sameness for each in told if each.sameness]
    known = set[str]()
    if named:
        events = OutboxEvent.objects.filter(livemode=book.livemode, sameness__in=named)
        known = set(events.values_list("sameness", flat=True))
    return [each for each in told if each.sameness not in known]


def due_on_clock(
    *, clock_id: UUID, now: datetime, to: datetime
) -> list[tuple[datetime, int, tuple[object, ...]]]:
    """Return when lots of a test clock's customers come within the days of a threshold: the moment,
    the book, and an identity. What is past is told of by the next check.
    """
    due: list[tuple[datetime, int, tuple[object, ...]]] = []
    rows = AlertThreshold.objects.filter(book__test_clock=clock_id, unit=AlertUnit.EXPIRING_DAYS)
    for row in rows:
        lots = CreditLot.objects.filter(
            wallet=row.wallet_id, unit_wallet=row.unit_wallet_id, book=row.book_id,
            remaining__gt=0, expires_at__isnull=False,
        )  # fmt: skip
        for lot, expires_at in lots.values_list("pk", "expires_at"):
            assert expires_at is not None, "the filter asks for it"
            at = expires_at - timedelta(days=int(row.at))
            if now < at <= to:
                due.append((at, row.book_id, ("expiring", row.pk, lot)))
    return due
