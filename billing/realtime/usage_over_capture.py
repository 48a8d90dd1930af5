"""Captures of usage beyond the credits there are (docs/decisions.md#d275): the cycle does not bill
that part; a debit has it, which nobody pays, or the next credits do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from aforo import money
from aforo.money import ZERO
from billing.calculation import presentation
from billing.calculation.calculation import Calculation
from billing.models import ForgivenUsage, UsageEvent
from billing.prepaid import arrears
from billing.realtime import marginal_price
from billing.realtime.open_cycles import OpenCycle, Pays
from billing.settlement import usage_burn
from ledger.models import Book, LedgerEvent
from pricing.models import OverCapture
from wallets.debits.engine import over_capture
from wallets.holds.reservation_holds import Held
from wallets.models import BurnStrategy, Debit, Wallet
from wallets.outbox import Unpaid

if TYPE_CHECKING:
    from billing.realtime.usage_pricing import UsagePricing

_BOOKS_PLACES = 12


@dataclass(frozen=True, slots=True)
class Borne:
    """What a cycle then owes, and what it does not: gross, and net of tax."""

    after: Calculation
    left: Decimal = ZERO
    net: Decimal = ZERO


def bear(
    usage: UsagePricing,
    book: Book,
    cycle: OpenCycle,
    event: UsageEvent,
    *,
    policy: str,
    before: Calculation,
    also_pays: Pays,
    promised: Decimal,
) -> Borne:
    """Return what a cycle owes with one event more, and what of it a reservation's policy leaves.

    Raises: NotCovered (`quota_exceeded`; under REFUSE `insufficient_funds` and `overage_limit`;
    under DEBT `debt_limit`).
    """
    if policy == OverCapture.REFUSE:
        return Borne(
            marginal_price.with_event(
                usage, book, cycle, event, before=before, also_pays=also_pays, promised=promised
            )
        )
    after = marginal_price.priced(usage, book, cycle, event, also_pays=also_pays)
    short = marginal_price.short_of(usage, book, before, after, promised)
    if short == 0:
        return Borne(after)
    net = _net_of(after, short)
    borne = marginal_price.priced(usage, book, cycle, event, also_pays=also_pays, forgiven=net)
    left = after.total - borne.total
    if policy == OverCapture.DEBT:
        _check_debt(usage, book, cycle, before, left)
    return Borne(borne, left, net)


def _net_of(draft: Calculation, gross: Decimal) -> Decimal:
    """Return the net of a part that credits do not pay, rounded up, so that none of it is left."""
    percent = ZERO if draft.tax_rate is None else draft.tax_rate.percent
    net = money.divide(gross * 100, 100 + percent)
    places = money.exponent(draft.currency) if draft.is_rounded else _BOOKS_PLACES
    return -money.floor(-net, places)


def _check_debt(
    usage: UsagePricing, book: Book, cycle: OpenCycle, before: Calculation, debt: Decimal
) -> None:
    """Check that a customer may owe so much more, on top of what it owes, usage of the open cycles
    included.

    Raises: NotCovered (`debt_limit`).
    """
    now = usage.now(book)
    owed = arrears.owed([book.pk]).get((book.pk, before.currency), ZERO) + before.arrears
    for each in usage.cycles.by_book[book.pk]:
        if each is not cycle and each.subscription.version.plan.currency == before.currency:
            pays = usage_burn.payers(each.subscription, now)
            until = now + usage_burn.MICROSECOND
            owed += usage.price(book, each, until=until, pays=pays).arrears
    account = usage.money_account(book, before.currency)
    over_capture.check_debt(account, debt, owed=owed, available=ZERO)


def note(
    usage: UsagePricing,
    held: Held,
    cycle: OpenCycle,
    event: UsageEvent,
    borne: Borne,
    document: Mapping[str, object],
) -> dict[str, Decimal]:
    """Record what a capture leaves: its debit, which a notice names, and what the cycle does not
    bill; return it by the name that it has in answers.
    """
    if borne.left == 0:
        return {}
    reservation, book = held.reservation, held.reservation.book
    account = usage.batch.account_of(reservation)
    assert isinstance(account.wallet, Wallet), "usage is reserved on a money wallet"
    assert event.counted_at is not None, "it counts toward the cycle that runs"
    is_debt = reservation.over_capture == OverCapture.DEBT
    left = {"debt": borne.left} if is_debt else {"uncovered": borne.left}
    rate = borne.after.tax_rate
    entry = usage.batch.journal.entry(
        book=book,
        event=LedgerEvent.CAPTURE,
        occurred_at=account.now,
        document={
            **document,
            "usage_event": str(event.pk),
            **{name: money.plain(part) for name, part in left.items()},
            **account.wallet.unit,
            **({} if rate is None else presentation.rate_facts(presentation.rate_json(rate))),
        },
        attributes=reservation.attributes,
    )
    debit = Debit(
        book=book,
        operation_id=None,
        entry_id=entry.id,
        wallet=account.wallet,
        quantity=borne.left,
        debt=left.get("debt", ZERO),
        uncovered=left.get("uncovered", ZERO),
        strategy=BurnStrategy.WATERFALL,
        reservation=reservation.pk,
        attributes=reservation.attributes,
        occurred_at=account.now,
    )
    usage.batch.debits.append(debit)
    usage.batch.unpaid.append(Unpaid(book, account.wallet, debit))
    reservation.debt += debit.debt
    reservation.uncovered += debit.uncovered
    forgiven = ForgivenUsage(
        debit=debit,
        subscription=cycle.subscription,
        cycle=cycle.subscription.cycle,
        counted_at=event.counted_at,
        net=borne.net,
    )
    usage.forgiven.append(forgiven)
    cycle.forgiven.append(forgiven)
    return left
