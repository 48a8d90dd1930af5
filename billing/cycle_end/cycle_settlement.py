"""Settlement of cycles: seal, read, run the ten stages, open the next cycle; each cycle exactly
once.

A cycle is sealed in a short transaction of its own under the exclusive lock (see `cycle_sealing`).
Its usage, immutable from then on, is added up without a lock, and so is usage that arrived late or
is burned before a lot lapses. The stages run under the book's lock, together with everything they
change: burns, invoice, entries, the next cycle and its credits. Killed between the two, the next
call continues from the sealed cycle. Where the plan has a grace, or a request may not wait, the
next cycle is opened first (see `next_cycle`); then only the rest is done here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction

from aforo.database import joined
from aforo.periods import Period
from billing import calculation
from billing.calculation import advance, proration
from billing.calculation.calculation import Calculation, MetricUsage
from billing.cycle_end import next_cycle, starts
from billing.invoicing import invoices, numbering, statement_numbers
from billing.models import Settlement, SettlementStatus, Subscription, SubscriptionStatus
from billing.month_ends import month_end
from billing.prepaid import arrears
from billing.progress import Progress
from billing.settlement import (
    cycle_sealing,
    late_credits,
    late_usage,
    load,
    rerating,
    usage_burn,
    waiting_cycles,
)
from billing.settlement import write as settlement_writing
from billing.subscriptions import (
    advance_fees,
    cycles,
    moves,
    plan_credits,
    plan_terms,
    spend_rules,
)
from billing.usage import aggregates as usages
from billing.usage import rollups
from ledger.entries import books
from ledger.models import Book
from pricing import catalogue
from wallets.grants import expiry, rollover
from wallets.holds import reservations

Clock = Callable[[], datetime]


def settle_book(
    *,
    book_id: int,
    until: datetime,
    issued_at: datetime,
    run_id: UUID | None = None,
    goes_on: Callable[[], bool] = lambda: True,
) -> int:
    """Settle every cycle of one customer that is due at `until`, and begin the cycles that follow
    those that are over, in the order in which this falls due.

    Commits cycle by cycle, each under the run's name; repeating changes nothing. After each cycle,
    `goes_on` may stop the loop. Return the number of cycles settled.

    Raises: InvariantBroken when a cycle that was worked on is due as before.
    """
    settled, progress = 0, Progress()
    while True:
        over = starts.first_over(book_id=book_id, until=until)
        late_until = until if over is None else over.current_ends_at
        due = waiting_cycles.first_due(book_id=book_id, until=late_until)
        if over is None or due is not None or over.version.grace_hours > 0:
            # To settle an open cycle brings the month's ends up by itself, once it is sealed.
            month_end.bring_up(
                book_id=book_id, before=late_until if over else until + usage_burn.MICROSECOND
            )
        if due is not None:
            progress.on_settlement(due)
            settled += settle_waiting(settlement=due, now=issued_at, run_id=run_id)
        elif over is None:
            break
        else:
            progress.on_cycle(over)
            settled += _leave(over, issued_at, run_id)
        if not goes_on():
            return settled
    if not settled:
        # The process that settled them before may have been killed on the way.
        numbering.number_invoices(book_id=book_id, now=issued_at)
        statement_numbers.number_statements(book_id=book_id)
    if not expiry.is_anything_due(book_id=book_id, until=until):
        return settled
    counted = usage_burn.count_for_lapse(book_id=book_id, until=until)
    with transaction.atomic():
        book = books.lock_book(book_id=book_id, exclusive=True)
        usage_burn.lapse(book=book, until=until, counted=counted)
    return settled


def _leave(over: Subscription, now: datetime, run_id: UUID | None) -> int:
    """Settle an open cycle that is over, or begin the one that follows it where the plan has a
    grace; return the number of cycles settled.
    """
    if over.version.grace_hours == 0:
        return int(settle_cycle(subscription=over, now=now, run_id=run_id))
    next_cycle.begin(subscription=over, now=now)
    return 0


def settle_cycle(
    *,
    subscription: Subscription,
    now: datetime,
    run_id: UUID | None = None,
    is_locked: bool = False,
) -> bool:
    """Settle a subscription's open cycle, which is over, and begin the next; return whether this
    call did it.

    With `is_locked`, for a caller who holds the book's lock, usage is read from the cycle's
    rollups; else all its events are added up, without the lock.
    """
    settlement = cycle_sealing.seal(subscription, now)
    return settlement is not None and _settle(
        settlement, now=now, run_id=run_id, is_locked=is_locked
    )


def settle_waiting(
    *, settlement: Settlement, now: datetime, run_id: UUID | None = None, is_locked: bool = False
) -> bool:
    """Settle a cycle behind the open one, as `settle_cycle` does: from the lots that lived through
    it, not from the grants of the next cycle.
    """
    cycle_sealing.close_usage(settlement)
    settlement.subscription = plan_terms.of_cycle(settlement.subscription, settlement.cycle)
    return _settle(settlement, now=now, run_id=run_id, is_locked=is_locked)


def _settle(settlement: Settlement, *, now: datetime, run_id: UUID | None, is_locked: bool) -> bool:
    usage = _so_far(settlement) if is_locked else usages.read_usage(settlement=settlement)
    came_late = late_usage.read_late(settlement=settlement)
    month_end.bring_up(
        book_id=settlement.book_id,
        before=settlement.ends_at,
        late_since=min((late.cycle.starts_at for late in came_late), default=None),
    )
    until = settlement.counted_until
    counted, beside = month_end.add_up_beside(settlement)
    with transaction.atomic():
        book = books.lock_book(book_id=settlement.book_id)
        current = _read_again(settlement)
        if settlement.status != SettlementStatus.SEALED:
            return False
        settlement.subscription = plan_terms.of_cycle(current, settlement.cycle)
        settlement.run_id = run_id
        # Lots that lapsed within the cycle pay for the usage of their lifetime first.
        if expiry.is_anything_due(book_id=book.pk, until=until):
            limit = until - usage_burn.MICROSECOND
            usage_burn.lapse_through(book=book, limit=limit, counted=counted)
            reservations.release_due(book=book, until=until)
        lives_until = _period_after(current, settlement).ends_at
        rerated = rerating.begin(
            book=book, found=came_late, settlement=settlement, lives_until=lives_until
        )
        draft = _priced(book, current, settlement, usage, rerated)
        _write(book, settlement, draft, rerated, now)
        _set_state(book, current, draft, at=settlement.ends_at)
        if _is_behind(current, settlement):
            _catch_up(book, current, settlement, counted)
        else:
            _go_on(book, current, settlement, counted, beside)
        if any(each.gives_back for each in rerated):
            arrears.pay_arrears(book)
    if draft.billing_mode == "PREPAID":
        statement_numbers.number_statements(book_id=settlement.book_id)
    else:
        numbering.number_invoices(book_id=settlement.book_id, now=now)
    return True


def _is_behind(current: Subscription, settlement: Settlement) -> bool:
    """Return whether the cycle that is settled is no longer the open one."""
    return current.cycle != settlement.cycle or current.status == SubscriptionStatus.CANCELLED


def _period_after(current: Subscription, settlement: Settlement) -> Period:
    """Return the cycle that follows a settled one: the open one, where that has begun before."""
    if current.cycle != settlement.cycle:
        return Period(current.current_starts_at, current.current_ends_at)
    if next_cycle.divides_period(current, settlement):
        return Period(settlement.ends_at, current.full_ends_at)
    return cycles.upcoming(current).part


def _write(
    book: Book,
    settlement: Settlement,
    draft: Calculation,
    rerated: Sequence[rerating.Rerated],
    now: datetime,
) -> None:
    """Write a settled cycle, the burns of late usage, and its invoice."""
    current = settlement.subscription
    following = _period_after(current, settlement)
    came = load.rolled_generations(current, settlement.cycle)
    is_divided = next_cycle.divides_period(current, settlement)
    rolled_on = {} if is_divided else next_cycle.rolled_on(came=came, draft=draft)
    settlement_writing.settle(
        book=book,
        settlement=settlement,
        draft=draft,
        now=now,
        next_period=following,
        rolled_on=rolled_on,
    )
    rerating.burn_units(book=book, rerated=rerated, at=settlement.ends_at)
    if draft.billing_mode != "PREPAID" and draft.lines:
        invoices.draft_invoice(
            customer=current.customer, settlement=settlement, draft=draft, ahead=following
        )


def _so_far(settlement: Settlement) -> dict[str, MetricUsage]:
    ended = waiting_cycles.rewound(settlement)
    return rollups.usage_so_far(subscription=ended, until=settlement.counted_until)


def _priced(
    book: Book,
    current: Subscription,
    settlement: Settlement,
    usage: Mapping[str, MetricUsage],
    rerated: Sequence[rerating.Rerated],
) -> Calculation:
    """Run the stages. Where PREPAID credits do not cover the fees of the next cycle too, the cycle
    is settled without those fees: a period that is not served makes no arrears
    (docs/decisions.md#d28).
    """
    loaded = load.load(
        book=book,
        subscription=settlement.subscription,
        settlement=settlement,
        usage=usage,
        full_period=Period(settlement.full_starts_at, settlement.full_ends_at),
    )
    loaded = rerating.offered(loaded, rerated=rerated, settlement=settlement)
    next_version = plan_terms.following(current).version
    loaded = load.ahead_by(loaded, settlement=settlement, version=next_version)
    ahead = advance.charged_ahead(load.charge_terms(catalogue.charges_of(next_version)))
    is_behind = _is_behind(current, settlement)
    is_last = next_cycle.ends_with(current, settlement.ends_at)
    upcoming = cycles.upcoming(current)
    ahead = proration.charges(ahead, proration.share_of(upcoming.part, upcoming.full))
    if is_behind or settlement.ends_at < settlement.full_ends_at or is_last:
        ahead = ()
    draft = calculation.run(advance.of_cycle(loaded, ahead))
    if is_behind:
        # The next cycle was billed its fees when it began.
        return draft
    current.is_fee_due = draft.billing_mode == "PREPAID" and bool(ahead) and draft.arrears > 0
    return calculation.run(advance.of_cycle(loaded, ())) if current.is_fee_due else draft


def _stop(book: Book, current: Subscription, at: datetime, counted: usage_burn.Counted) -> None:
    """Pause or end a subscription whose last cycle is settled."""
    if current.paused_at == at:
        was = current.status
        cycles.pause_cycle(subscription=current, at=at)
        moves.record(book=book, subscription=current, was=was, at=at)
        spend_rules.refresh_rules(book=book)
        advance_fees.recognise_fees(book=book, until=at)
        usage_burn.lapse(book=book, until=at, counted=counted)
    else:
        end(book=book, subscription=current, at=at, counted=counted)


def end(
    *,
    book: Book,
    subscription: Subscription,
    at: datetime,
    counted: usage_burn.Counted = usage_burn.NOTHING,
) -> None:
    """Cancel a subscription that has no cycle to settle: its plan's credits lapse, the fees it paid
    in advance are earned, and the customer's wallets are as without it (docs/decisions.md#d18).

    The book must be locked.
    """
    subscription.cancelled_at = at
    subscription.save(update_fields=["cancelled_at"])
    moves.move(book=book, subscription=subscription, to=SubscriptionStatus.CANCELLED, at=at)
    late_credits.pay_out(book=book, subscription_id=subscription.pk, at=at)
    advance_fees.end_fees(book=book, subscription=subscription, at=at)
    expiry.end_lots(book=book, lots=plan_credits.plan_lots(subscription), at=at)
    usage_burn.lapse(book=book, until=at, counted=counted)


def _set_state(book: Book, current: Subscription, draft: Calculation, *, at: datetime) -> None:
    """Suspend for arrears or for fees that are not covered; a paid cycle lifts the suspension.

    A shortfall of the minimum spend is owed, but it does not suspend (docs/decisions.md#d17). One
    that stops with the cycle is paused or cancelled, whatever it owes.
    """
    if current.status == SubscriptionStatus.CANCELLED or next_cycle.ends_with(current, at):
        return
    if draft.net_arrears > draft.commitment or current.is_fee_due:
        status = SubscriptionStatus.SUSPENDED
    elif current.status == SubscriptionStatus.SUSPENDED and not spend_rules.owes(current):
        status = SubscriptionStatus.ACTIVE
    else:
        return
    moves.move(book=book, subscription=current, to=status, at=at)


def _read_again(settlement: Settlement) -> Subscription:
    """Read under the lock the status of a cycle, and its subscription, which is returned; it has
    the related rows that were read at sealing.
    """
    sealed = settlement.subscription
    (read,) = joined.select(Settlement, ["subscription"], "WHERE t.id = %s", [settlement.pk])
    fresh = read.subscription
    for name in ("customer", "offering", "version"):
        if getattr(fresh, f"{name}_id") == getattr(sealed, f"{name}_id"):
            setattr(fresh, name, getattr(sealed, name))
    settlement.status, settlement.subscription = read.status, fresh
    return fresh


def _catch_up(
    book: Book, subscription: Subscription, settlement: Settlement, counted: usage_burn.Counted
) -> None:
    """Do what waited for the settlement of a cycle behind the open one, or of the last one: lapses,
    credits held back for arrears, and, when no cycle follows, credits owed for late usage.
    """
    if subscription.status == SubscriptionStatus.CANCELLED:
        late_credits.pay_out(book=book, subscription_id=subscription.pk, at=settlement.ends_at)
    usage_burn.lapse(book=book, until=settlement.ends_at, counted=counted)
    plan_credits.issue_plan_credits(
        book=book, subscription=subscription, at=subscription.current_starts_at
    )


def _go_on(
    book: Book,
    subscription: Subscription,
    settlement: Settlement,
    counted: usage_burn.Counted,
    beside: month_end.LateUsage | None,
) -> None:
    """Do what follows stage Settle: the month's end of other cycles, the next cycle, fees earned,
    rollover, lapses, its credits.
    """
    if beside is not None:
        month_end.reach_locked(book=book, end=settlement.ends_at, counted=counted, came_late=beside)
    if next_cycle.ends_with(subscription, settlement.ends_at):
        _stop(book, subscription, settlement.ends_at, counted)
        return
    if next_cycle.divides_period(subscription, settlement):
        next_cycle.begin_rest(book=book, subscription=subscription, at=settlement.ends_at)
        usage_burn.lapse(book=book, until=settlement.ends_at, counted=counted)
        return
    was = subscription.status
    plan_terms.take(book=book, subscription=subscription, at=settlement.ends_at)
    cycles.open_next_cycle(subscription)
    moves.record(book=book, subscription=subscription, was=was, at=settlement.ends_at)
    spend_rules.refresh_rules(book=book)
    advance_fees.recognise_fees(book=book, until=settlement.ends_at)
    rollover.roll_over(
        book=book,
        lots=plan_credits.plan_lots(subscription),
        at=settlement.ends_at,
        until=subscription.current_ends_at,
    )
    usage_burn.lapse(book=book, until=settlement.ends_at, counted=counted)
    plan_credits.issue_plan_credits(book=book, subscription=subscription, at=settlement.ends_at)
