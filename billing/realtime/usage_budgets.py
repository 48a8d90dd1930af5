"""What usage in real time takes of budgets: its price of those in money, its quantity of those in
units of its metric. Budgets match it by the properties of its event, as they match metered usage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from aforo.money import ZERO
from ledger.models import Book, LedgerEvent
from pricing.models import Metric
from wallets.budgets import counters, counting
from wallets.budgets.counters import Change
from wallets.budgets.counting import Need
from wallets.holds.reservation_holds import Held
from wallets.lots.credit_journal import EntryBuilder
from wallets.models import Reservation

if TYPE_CHECKING:
    from billing.realtime.usage_pricing import UsagePricing


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a reservation has accepted of usage: what a capture takes beyond is new to budgets."""

    reservation: Reservation
    quantity: Decimal
    amount: Decimal
    is_final: bool


@dataclass(frozen=True, slots=True)
class Use:
    """So much usage at its price, of whom it is for."""

    metric: Metric
    currency: str
    properties: Mapping[str, object]
    quantity: Decimal
    amount: Decimal

    @property
    def need(self) -> Need:
        return Need(
            counting.texts(self.properties),
            {self.currency: self.amount},
            {self.metric.pk: counting.measured(self.metric, self.quantity)},
        )

    def beyond(self, accepted: Accepted) -> Use:
        """Return what goes beyond a reservation."""
        return Use(
            self.metric,
            self.currency,
            self.properties,
            max(self.quantity - accepted.quantity, ZERO),
            max(self.amount - accepted.amount, ZERO),
        )


def take(
    usage: UsagePricing, book: Book, use: Use, accepted: Accepted | None, *, refuse: bool = True
) -> list[Change]:
    """Return what usage changes of the customer's budgets. What was reserved stays in the windows
    of its reservation, which honours its price, whatever that has become; under a policy that takes
    more, so does the rest.

    Raises: BudgetExceeded, TooManyValues; then nothing has changed.
    """
    if accepted is None:
        return counters.used(usage.batch.budgets.take(book, use.need, refuse=refuse))
    refuse = refuse and use.quantity > accepted.quantity
    taken = usage.batch.budgets.take(book, use.beyond(accepted).need, refuse=refuse)
    return [*counters.used(taken), *_moved(use, accepted)]


def _moved(use: Use, accepted: Accepted) -> Sequence[Change]:
    """Move what is captured from held to used; a final capture gives back the rest."""
    reservation, changes = accepted.reservation, list[Change]()
    for measure, amount in (
        (counters.MONEY, min(use.amount, accepted.amount)),
        (
            counters.UNITS,
            counting.measured(use.metric, min(use.quantity, accepted.quantity)),
        ),
    ):
        reservation.counted, moved = counters.capture(reservation.counted, measure, amount)
        changes += moved
    if accepted.is_final:
        changes += counters.release(reservation.counted)
        reservation.counted = None
    return changes


def hold(usage: UsagePricing, book: Book, use: Use, held: Held) -> None:
    """Count usage that is reserved, or more of it, as held, in the entry that has just been drafted
    for it.

    Raises: BudgetExceeded, TooManyValues.
    """
    taken = usage.batch.budgets.take(book, use.need)
    usage.batch.journal.drafts[-1].count(counters.held(taken))
    held.reservation.counted = counters.hold(held.reservation.counted, taken)


def count(
    usage: UsagePricing,
    book: Book,
    changes: Sequence[Change],
    *,
    entry: UUID | None,
    document: Mapping[str, object],
    attributes: Mapping[str, str] | None,
) -> UUID | None:
    """Count changes in the entry that burned for them or, where nothing was burned, in one of their
    own; return that entry.
    """
    if not changes:
        return entry
    draft = _draft(usage, entry) or usage.batch.journal.entry(
        book=book,
        event=LedgerEvent.USAGE_BURNED,
        occurred_at=usage.now(book),
        document=document,
        attributes=attributes,
    )
    draft.count(changes)
    return draft.id


def _draft(usage: UsagePricing, entry: UUID | None) -> EntryBuilder | None:
    found = (each for each in reversed(usage.batch.journal.drafts) if each.id == entry)
    return next(found, None)
