"""The marginal price of usage: what the open cycle owes with it, less what it owes without.

Both are priced by the settlement's own stages, discount and tax included. Credits first pay for
what was metered so far, so that a request has the price of its own usage alone; it never returns
credits within the cycle (docs/decisions.md#d17, #d33).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from aforo import actors, money
from aforo.errors import FieldError, Invalid, NotCovered
from aforo.money import ZERO
from billing.calculation import presentation
from billing.calculation.calculation import Calculation
from billing.models import Subscription, SubscriptionStatus, UsageEvent
from billing.realtime.open_cycles import OpenCycle, Pays
from billing.realtime.usage_requests import NoSubscription, UsageRequest
from billing.settlement import usage_burn
from billing.usage import aggregates
from billing.usage.events import BadEvent, check_numbers
from ledger.models import Book, LedgerEvent
from pricing.models import Metric
from pricing.terms import Beyond, parse_caps
from wallets.debits.engine import Paused, Suspended
from wallets.lots import provisioning, queries

if TYPE_CHECKING:
    from billing.realtime.usage_pricing import UsagePricing

FUTURE_TOLERANCE = timedelta(minutes=5)


def cycle_for(usage: UsagePricing, book: Book, code: str) -> tuple[OpenCycle, Metric]:
    """Return the open cycle that prices a metric, of the oldest subscription that does.

    Raises: Invalid (`unknown_metric`), NoSubscription.
    """
    live = usage.cycles.by_book.get(book.pk, ())
    for cycle in sorted(live, key=lambda c: (c.subscription.starts_at, c.subscription.pk)):
        metric = cycle.metric(code)
        if metric is not None:
            return cycle, metric
    provisioning.find_metric(livemode=book.livemode, code=code)
    raise NoSubscription(f"No live subscription prices {code}.")


def check_open(subscription: Subscription) -> None:
    """Check that the subscription takes new usage: neither suspended nor paused.

    Raises: Suspended, Paused.
    """
    if subscription.status == SubscriptionStatus.SUSPENDED:
        raise Suspended("The customer is suspended: arrears are open.")
    if subscription.status == SubscriptionStatus.PAUSED:
        raise Paused("The subscription is paused.")


def event_of(
    usage: UsagePricing, book: Book, cycle: OpenCycle, metric: Metric, ask: UsageRequest, key: str
) -> UsageEvent:
    """Return the event of a request, to be written with the list.

    Raises: Invalid (`number_too_long`, `in_the_future`, `period_settled`).
    """
    try:
        check_numbers(ask.event_properties, aggregates.numbers_read(metric))
    except BadEvent as error:
        raise Invalid([FieldError("/properties", error.code, str(error))]) from error
    subscription, now = cycle.subscription, usage.now(book)
    occurred_at = ask.occurred_at or now
    if occurred_at > now + FUTURE_TOLERANCE or occurred_at >= subscription.current_ends_at:
        detail = "It is more than 5 minutes ahead, or beyond the open period."
        raise Invalid([FieldError("/occurred_at", "in_the_future", detail)])
    is_sealed = subscription.usage_closed_through > subscription.counted_from
    if is_sealed or occurred_at < subscription.current_starts_at:
        detail = "Its period is settled: send it as metered usage."
        raise Invalid([FieldError("/occurred_at", "period_settled", detail)])
    # At an instant that stands still, the cycle that was cut short at it has what came before.
    counted_at = max(occurred_at, subscription.counted_from)
    return UsageEvent(
        book=book,
        metric=metric,
        key=key,
        quantity=ask.quantity,
        occurred_at=occurred_at,
        counted_at=counted_at,
        received_at=now,
        properties=ask.event_properties,
        behind=cycle.behind(metric, counted_at),
    )


def without(usage: UsagePricing, book: Book, cycle: OpenCycle) -> Calculation:
    """Burn what was metered up to now in every open cycle of the customer; return the calculation
    of what this one then owes.
    """
    now, found = usage.now(book), None
    until = now + usage_burn.MICROSECOND
    for each in usage.cycles.by_book[book.pk]:
        subscription = each.subscription
        if not each.runs_before(until):
            continue
        draft = usage.price(book, each, until=until, pays=usage_burn.payers(subscription, now))
        with actors.acting(actors.job("usage_burn")):
            usage.burn(
                book,
                each,
                draft,
                event=LedgerEvent.USAGE_BURNED,
                occurred_at=min(until, subscription.current_ends_at),
                document=document(each, draft),
                keep=False,
            )
        found = draft if each is cycle else found
    return found or usage.price(book, cycle, until=until, pays=lambda lot: False)


def document(
    cycle: OpenCycle, draft: Calculation, more: Mapping[str, object] | None = None
) -> dict[str, object]:
    """Return the document of an entry that burns for a cycle."""
    subscription = cycle.subscription
    return {
        **(more or {}),
        "subscription": str(subscription.pk),
        "cycle": str(subscription.cycle),
        **presentation.facts(draft, product=subscription.version.plan.code),
    }


def with_event(
    usage: UsagePricing,
    book: Book,
    cycle: OpenCycle,
    event: UsageEvent,
    *,
    before: Calculation,
    also_pays: Pays = lambda lot: False,
    promised: Decimal = ZERO,
) -> Calculation:
    """Return what a cycle owes with one event more, paid by the lots alive now and those that
    `also_pays` selects. Overage that was `promised` to a reservation is not refused.

    Raises: NotCovered (`quota_exceeded`, `insufficient_funds` in PREPAID, `overage_limit`).
    """
    after = priced(usage, book, cycle, event, also_pays=also_pays)
    _check_covered(usage, book, before, after, promised)
    return after


def priced(
    usage: UsagePricing,
    book: Book,
    cycle: OpenCycle,
    event: UsageEvent,
    *,
    also_pays: Pays,
    forgiven: Decimal = ZERO,
) -> Calculation:
    """Return what a cycle owes with one event more, and so much `forgiven` of it, whether or not it
    is covered.

    Raises: NotCovered (`quota_exceeded`).
    """
    now = usage.now(book)
    _check_cap(cycle, event)
    assert event.counted_at is not None, "it counts toward the cycle that runs"
    return usage.price(
        book,
        cycle,
        until=max(now, event.counted_at) + usage_burn.MICROSECOND,
        pays=lambda lot: queries.is_alive(lot, now) or also_pays(lot),
        more=event,
        forgiven=forgiven,
    )


def hard_cap(cycle: OpenCycle, metric: Metric) -> Decimal | None:
    """Return the quantity beyond which the plan refuses usage, if there is one."""
    cap = parse_caps(cycle.subscription.version.caps).get(metric.code)
    return cap.quantity if cap is not None and cap.beyond == Beyond.REFUSED else None


def _check_cap(cycle: OpenCycle, event: UsageEvent) -> None:
    """Check that usage passes no cap beyond which the plan refuses it; the stages bill none of
    that.

    Raises: NotCovered (`quota_exceeded`).
    """
    metric, cap = event.metric, hard_cap(cycle, event.metric)
    if cap is None:
        return
    used = cycle.used_in_all(metric, event)
    if used > cap:
        over = money.plain(used - cap)
        raise NotCovered(
            f"The hard cap of {money.plain(cap)} {metric.code} would be passed by {over}.",
            code="quota_exceeded",
            extra={"shortfall": over, "available": "0"},
            currency=cycle.subscription.version.plan.currency,
            until=cycle.subscription.current_ends_at,
        )


def _check_covered(
    usage: UsagePricing, book: Book, before: Calculation, after: Calculation, promised: Decimal
) -> None:
    """Check that PREPAID credits cover this usage, and that overage, including that promised to
    open reservations, is within the limit.

    Raises: NotCovered.
    """
    account = usage.batch.money.get((book.pk, after.currency))
    uncovered = after.arrears - before.arrears
    if uncovered > 0:
        raise NotCovered(
            f"{money.plain(uncovered)} {after.currency} is not covered by credits.",
            extra={
                "shortfall": money.plain(uncovered),
                "available": "0" if account is None else account.balance["available"],
            },
            # The next credits first pay what was metered before it.
            missing=after.arrears,
            currency=after.currency,
        )
    if after.to_invoice - before.to_invoice <= promised:
        return
    over = overage_beyond(usage, book, after)
    if account is not None and over > 0:
        limit = account.wallet.overage_limit or ZERO
        raise NotCovered(
            f"The overage would pass the limit of {money.plain(limit)}.",
            code="overage_limit",
            extra={"shortfall": money.plain(over), "available": "0"},
            missing=over,
            currency=after.currency,
            until=account.wallet.renews_at,
        )


def overage_beyond(usage: UsagePricing, book: Book, after: Calculation) -> Decimal:
    """Return by how much overage, including that promised to open reservations, passes the
    customer's limit.
    """
    account = usage.batch.money.get((book.pk, after.currency))
    limit = None if account is None else account.wallet.overage_limit
    if account is None or limit is None:
        return ZERO
    return max(after.to_invoice + account.open_overage + account.promised - limit, ZERO)


def short_of(
    usage: UsagePricing, book: Book, before: Calculation, after: Calculation, promised: Decimal
) -> Decimal:
    """Return how much of the price neither credits nor overage within the limit pay."""
    more = after.to_invoice - before.to_invoice - promised
    over = min(overage_beyond(usage, book, after), max(more, ZERO))
    return max(after.arrears - before.arrears, ZERO) + over
