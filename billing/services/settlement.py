"""Settle cycles: seal, read, run the ten stages, open the next cycle; each cycle exactly once.

A cycle is sealed in a short transaction of its own under the exclusive lock (DECISIONS 13). Its
usage, immutable from then on, is added up without a lock, and so is what arrived late or has to be
burned before a lot lapses. The stages run under the book's lock, together with everything they
change: burns, invoice, entries, the next cycle and its credits.
Killed between the two, the next call goes on from the sealed cycle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from aforo.errors import InvariantBroken, NotFound
from aforo.money import ZERO
from aforo.periods import Period
from billing import pipeline
from billing.models import (
    Settlement,
    SettlementKind,
    SettlementStatus,
    Subscription,
    SubscriptionStatus,
)
from billing.pipeline import advance, load, settle, tallies
from billing.pipeline import usage as usages
from billing.pipeline.draft import Draft, MetricUsage
from billing.services import (
    burning,
    cycles,
    fees,
    invoices,
    late,
    prepayment,
    statements,
    subscriptions,
)
from ledger import services as ledger
from ledger.models import Book
from pricing import services as pricing
from pricing.terms import IncludedQuota, rolled_generations
from wallets import services as wallets

Clock = Callable[[], datetime]


class UnknownSettlement(NotFound):
    default_code = "unknown_settlement"


def _first_due(book_id: int, until: datetime) -> Subscription | None:
    """Find the cycle of a customer that is due and ends first."""
    ended = Subscription.objects.filter(
        customer=book_id, status__in=subscriptions.RUNNING, current_ends_at__lte=until
    ).select_related("version")
    cycles_over = ended.order_by("current_ends_at", "created_at", "pk")
    return next((cycle for cycle in cycles_over if due_at(cycle) <= until), None)


def due_at(subscription: Subscription) -> datetime:
    """Give when the open cycle is settled: its end plus the plan's grace."""
    return subscription.current_ends_at + timedelta(hours=subscription.version.grace_hours)


def settle_book(
    *,
    book_id: int,
    until: datetime,
    issued_at: datetime,
    run_id: UUID | None = None,
    goes_on: Callable[[], bool] = lambda: True,
) -> int:
    """Settle every cycle of one customer that is due at `until`, in the order of their ends.

    Commits cycle by cycle, each under the run's name; repeating changes nothing. After each one,
    `goes_on` may stop it. Returns the number of cycles settled.

    Raises: InvariantBroken when a cycle that was worked on is due as before.
    """
    settled = 0
    worked = set[tuple[UUID, int, datetime]]()
    while due := _first_due(book_id, until):
        cycle = (due.pk, due.cycle, due.current_ends_at)
        if cycle in worked:
            raise InvariantBroken(f"Cycle {due.cycle} of the subscription {due.pk} stays due.")
        worked.add(cycle)
        settled += settle_cycle(subscription=due, now=issued_at, run_id=run_id)
        if not goes_on():
            return settled
    if not settled:
        # Whoever settled them before may have been killed on the way.
        invoices.finalize_drafts(book_id=book_id, now=issued_at)
        statements.number_statements(book_id=book_id)
    if not wallets.is_anything_due(book_id=book_id, until=until):
        return settled
    counted = burning.count_for_lapse(book_id=book_id, until=until)
    with transaction.atomic():
        book = ledger.lock_book(book_id=book_id, exclusive=True)
        burning.lapse(book=book, until=until, counted=counted)
    return settled


def settle_cycle(
    *,
    subscription: Subscription,
    now: datetime,
    run_id: UUID | None = None,
    is_locked: bool = False,
) -> bool:
    """Settle a subscription's open cycle, which is over; tell whether this call did it.

    For a caller who holds the book already, `is_locked`, it goes on from the cycle's tallies; else
    all its events are added up, without the lock.
    """
    settlement = _seal(subscription, now)
    if settlement is None:
        return False
    usage = _so_far(settlement) if is_locked else usages.read_usage(settlement=settlement)
    late_usage = late.read_late(settlement=settlement)
    counted = burning.count_ahead(book_id=settlement.book_id, limit=settlement.ends_at)
    with transaction.atomic():
        book = ledger.lock_book(book_id=settlement.book_id)
        settlement.refresh_from_db(fields=["status"])
        if settlement.status != SettlementStatus.SEALED:
            return False
        settlement.run_id = run_id
        current = settlement.subscription = _read_again(settlement.subscription)
        # What lapsed within the cycle pays for the usage of its lifetime first.
        if wallets.is_anything_due(book_id=book.pk, until=settlement.ends_at):
            limit = settlement.ends_at - burning.MICROSECOND
            burning.lapse_through(book=book, limit=limit, counted=counted)
            wallets.release_due(book=book, until=settlement.ends_at)
        draft = _priced(book, current, settlement, usage, late_usage)
        settle.settle(
            book=book,
            settlement=settlement,
            draft=draft,
            now=now,
            next_period=cycles.period_of(current, settlement.cycle + 1),
            rolled_on=rolled_on(
                came=load.rolled_generations(current, settlement.cycle), draft=draft
            ),
        )
        if draft.billing_mode != "PREPAID" and draft.lines:
            invoices.draft_invoice(customer=current.customer, settlement=settlement, draft=draft)
        _set_state(book, current, draft)
        _go_on(book, current, settlement, counted)
    if draft.billing_mode == "PREPAID":
        statements.number_statements(book_id=settlement.book_id)
    else:
        invoices.finalize_drafts(book_id=settlement.book_id, now=now)
    return True


def _so_far(settlement: Settlement) -> dict[str, MetricUsage]:
    return tallies.usage_so_far(subscription=settlement.subscription, until=settlement.ends_at)


def _priced(
    book: Book,
    current: Subscription,
    settlement: Settlement,
    usage: Mapping[str, MetricUsage],
    late_usage: Sequence[late.Late],
) -> Draft:
    """Run the stages. What PREPAID credits do not cover with the fees of the next cycle is settled
    without them: a period that is not served makes no arrears (DECISIONS 28).
    """
    loaded = load.load(
        book=book,
        subscription=current,
        settlement=settlement,
        usage=usage,
        full_period=Period(settlement.full_starts_at, settlement.full_ends_at),
    )
    loaded = replace(loaded, late=late.adjustments(book=book, found=late_usage))
    ahead = advance.charged_ahead(load.charge_terms(pricing.charges_of(current.version)))
    if _stops(current, settlement):
        ahead = ()
    draft = pipeline.run(advance.of_cycle(loaded, ahead))
    current.is_fee_due = draft.billing_mode == "PREPAID" and bool(ahead) and draft.arrears > 0
    return pipeline.run(advance.of_cycle(loaded, ())) if current.is_fee_due else draft


def rolled_on(*, came: Mapping[str, list[Decimal]], draft: Draft) -> dict[str, list[Decimal]]:
    """Give what of each charge's included quantity the next cycle takes over (DECISIONS 38), of its
    own and of what `came` into this one.
    """
    taken = {}
    for demand in draft.demands:
        code, terms = demand.charge.code, demand.charge.terms
        if isinstance(terms, IncludedQuota):
            rolled = came.get(code, [])
            taken[code] = rolled_generations(
                terms.rollover,
                own=draft.quotas.get(code, ZERO) - sum(rolled, ZERO),
                rolled=rolled,
                used=demand.included,
            )
    return {code: rolled for code, rolled in taken.items() if rolled}


def _stops(current: Subscription, settlement: Settlement) -> bool:
    """Tell whether a cycle is the last one, or the last before a pause."""
    return current.paused_at == settlement.ends_at or (
        current.cancel_at is not None and current.cancel_at <= settlement.ends_at
    )


def _stop(book: Book, current: Subscription, at: datetime, counted: burning.Counted) -> None:
    """Pause or end a subscription whose last cycle is settled."""
    if current.paused_at == at:
        cycles.pause_cycle(subscription=current, at=at)
        subscriptions.refresh_rules(book=book)
        fees.recognise_fees(book=book, until=at)
        burning.lapse(book=book, until=at, counted=counted)
    else:
        end(book=book, subscription=current, at=at, counted=counted)


def end(
    *,
    book: Book,
    subscription: Subscription,
    at: datetime,
    counted: burning.Counted = burning.NOTHING,
) -> None:
    """Cancel a subscription that has no cycle to settle: its plan's credits lapse, the fees it paid
    in advance are earned, and the customer is as without it (DECISIONS 18).

    The book must be locked.
    """
    subscription.cancelled_at = at
    subscription.save(update_fields=["cancelled_at"])
    subscriptions.set_status(
        book=book, subscription=subscription, status=SubscriptionStatus.CANCELLED
    )
    fees.end_fees(book=book, subscription=subscription, at=at)
    wallets.end_lots(book=book, cause=subscriptions.plan_cause(subscription), at=at)
    burning.lapse(book=book, until=at, counted=counted)


def _set_state(book: Book, current: Subscription, draft: Draft) -> None:
    """Suspend for arrears or for fees that are not covered; a cycle that is paid lifts it.

    A shortfall of the minimum spend is owed, but it does not suspend (DECISIONS 17).
    """
    if draft.arrears > draft.commitment or current.is_fee_due:
        status = SubscriptionStatus.SUSPENDED
    elif current.status == SubscriptionStatus.SUSPENDED and not prepayment.owes(current):
        status = SubscriptionStatus.ACTIVE
    else:
        return
    subscriptions.set_status(book=book, subscription=current, status=status)


def _seal(subscription: Subscription, now: datetime) -> Settlement | None:
    """Close the open cycle to usage, under the exclusive lock; None when it is no longer due."""
    with transaction.atomic():
        ledger.lock_book(book_id=subscription.customer_id, exclusive=True)
        current = _read(subscription.pk)
        if current.cycle != subscription.cycle:
            return None
        full = cycles.period_of(current, current.cycle)
        of_cycle = current.settlements.filter(cycle=current.cycle, kind=SettlementKind.CYCLE)
        sealed = of_cycle.exclude(status=SettlementStatus.VOIDED).first()
        settlement = sealed or Settlement.objects.create(
            subscription=current,
            cycle=current.cycle,
            book_id=current.customer_id,
            starts_at=current.current_starts_at,
            ends_at=current.current_ends_at,
            full_starts_at=full.starts_at,
            full_ends_at=full.ends_at,
            sealed_at=now,
            currency=current.version.plan.currency,
            billing_mode=current.billing_mode,
        )
        settlement.subscription = current
        current.usage_closed_through = current.current_ends_at
        current.save(update_fields=["usage_closed_through"])
        return settlement


def _read(subscription_id: UUID) -> Subscription:
    found = Subscription.objects.select_related("customer__book", "version__plan", "offering")
    return found.get(pk=subscription_id)


def _read_again(sealed: Subscription) -> Subscription:
    """Read a subscription under the lock; what it refers to was read when it was sealed."""
    fresh = Subscription.objects.get(pk=sealed.pk)
    for name in ("customer", "offering", "version"):
        if getattr(fresh, f"{name}_id") == getattr(sealed, f"{name}_id"):
            setattr(fresh, name, getattr(sealed, name))
    return fresh


def _go_on(
    book: Book, subscription: Subscription, settlement: Settlement, counted: burning.Counted
) -> None:
    """Do what is due after Settle: the next cycle, fees earned, rollover, lapses, its credits."""
    if _stops(subscription, settlement):
        _stop(book, subscription, settlement.ends_at, counted)
        return
    cycles.open_next_cycle(subscription)
    fees.recognise_fees(book=book, until=settlement.ends_at)
    wallets.roll_over(
        book=book,
        cause=subscriptions.plan_cause(subscription),
        at=settlement.ends_at,
        until=subscription.current_ends_at,
    )
    burning.lapse(book=book, until=settlement.ends_at, counted=counted)
    subscriptions.issue_plan_credits(book=book, subscription=subscription, at=settlement.ends_at)


def get_settlement(*, livemode: bool, settlement_id: UUID) -> Settlement:
    """Find a settlement.

    Raises: UnknownSettlement.
    """
    found = Settlement.objects.filter(Q(pk=settlement_id), book__livemode=livemode)
    settlement = found.select_related("subscription__customer__book").first()
    if settlement is None:
        raise UnknownSettlement(f"There is no settlement {settlement_id}.")
    return settlement
