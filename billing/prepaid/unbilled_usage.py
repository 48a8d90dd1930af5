"""Metered usage of the open cycles that no credit has paid yet, priced by the same stages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from aforo.money import ZERO
from aforo.sandbox.services import now_for
from billing.calculation.calculation import Calculation
from billing.prepaid import arrears
from billing.settlement import cycle_burns, usage_burn
from ledger.models import Book
from wallets.models import CreditLot


def pending(*, book: Book, now: datetime) -> dict[str, Decimal]:
    """Return what burning the open cycles would take now: units by metric code, money by currency.

    Reads without a lock: it is a forecast, and nothing rests on it.
    """
    taken: dict[str, Decimal] = {}
    until = now + usage_burn.MICROSECOND
    for subscription in usage_burn.open_cycles(book=book, at=until):
        draft = usage_burn.forecast(
            book=book,
            subscription=subscription,
            until=until,
            pays=usage_burn.payers(subscription, now),
        )
        before = cycle_burns.by_lot(settlement=usage_burn.stand_in(subscription))
        after = cycle_burns.targets(draft)
        lots = CreditLot.objects.select_related("unit_wallet__metric").in_bulk({*before, *after})
        for lot_id, lot in lots.items():
            code = lot.currency if lot.unit_wallet is None else lot.unit_wallet.metric.code
            burned = before[lot_id].quantity if lot_id in before else ZERO
            open_part = after[lot_id].quantity if lot_id in after else ZERO
            taken[code] = taken.get(code, ZERO) + open_part - burned
    return {code: max(quantity, ZERO) for code, quantity in taken.items()}


def overage(book: Book, currency: str) -> Decimal:
    """Return what usage of the open cycles leaves to be invoiced so far, tax included, as usage in
    real time counts it against the overage limit. The book must be locked.
    """
    return sum((draft.to_invoice for draft in _forecasts(book, currency)), ZERO)


def arrears_so_far(book: Book, currency: str) -> Decimal:
    """Return what usage of the open cycles leaves to be owed so far. The book must be locked."""
    return sum((draft.arrears for draft in _forecasts(book, currency)), ZERO)


def _forecasts(book: Book, currency: str) -> Iterator[Calculation]:
    """Price each cycle that is open now, paid by the credits there are."""
    now = now_for(book)
    until = now + usage_burn.MICROSECOND
    return (
        usage_burn.forecast(
            book=book,
            subscription=subscription,
            until=until,
            pays=usage_burn.payers(subscription, now),
        )
        for subscription in usage_burn.open_cycles(book=book, at=until)
        if subscription.version.plan.currency == currency and subscription.current_ends_at > now
    )


def pay_first(book: Book) -> None:
    """Burn what was metered so far, then pay what is owed, from the customer's credits.

    The book is locked; runs in the transaction of a refund, so that what a customer has used is not
    paid out.
    """
    usage_burn.burn_through(book=book, until=now_for(book))
    arrears.pay_arrears(book)
