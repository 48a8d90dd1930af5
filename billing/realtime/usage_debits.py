"""Usage in real time: recorded, priced by the settlement's own stages and paid before it is served.

Before a real-time debit, credits pay for what was metered so far. Then it records the event and
adjusts the burns of the open cycle to what the cycle now owes, so its price is the marginal one at
this point of the cycle, discount and tax included; it never returns credits within the cycle. What
it burned keeps its payer; settlement nets it (docs/decisions.md#d17, #d33).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import IntegrityError, transaction

from aforo import money
from aforo.errors import Conflict, FieldError, Invalid, NotCovered
from aforo.money import ZERO
from aforo.protocol.exact_json import timestamp
from aforo.protocol.idempotency import Answer
from aforo.sandbox.services import now_for
from billing.calculation import presentation
from billing.calculation.calculation import Calculation
from billing.cycle_end import renewal
from billing.models import Subscription, SubscriptionStatus, UsageEvent
from billing.settlement import cycle_burns, usage_burn
from billing.subscriptions import cycles, states
from billing.usage import aggregates as usages
from billing.usage import rollup_upkeep, rollups
from billing.usage.events import BadEvent, check_numbers
from ledger.models import Book, LedgerEvent
from pricing.models import Metric
from pricing.terms import Beyond, parse_caps
from wallets import port
from wallets.debits.engine import Paused, Suspended
from wallets.lots import provisioning, queries
from wallets.lots.credit_journal import CreditJournal
from wallets.models import CreditLot, Wallet
from wallets.operations import idempotency
from wallets.operations.responses import allocated

DEBIT = "billing.usage.debit"
FUTURE_TOLERANCE = timedelta(minutes=5)
MICROSECOND = timedelta(microseconds=1)


class NoSubscription(Conflict):
    default_code = "no_subscription"


class KeyMetered(Invalid):
    """The key belongs to an event that was metered."""


@dataclass(frozen=True, slots=True)
class UsageRequest:
    """A quantity of usage of a metric, now or a moment ago."""

    customer_id: str
    metric: str
    quantity: Decimal
    key: str
    occurred_at: datetime | None = None
    properties: Mapping[str, object] = field(default_factory=dict)

    @property
    def content(self) -> dict[str, object]:
        """Return the request in the form in which repeats are compared."""
        return {
            "customer_id": self.customer_id,
            "metric": self.metric,
            "quantity": self.quantity,
            "occurred_at": self.occurred_at,
            "properties": self.properties,
        }


@dataclass(frozen=True, slots=True)
class Charged:
    """The cost of usage: which lots paid, what no credit covered, and the entry, if any."""

    event: UsageEvent
    subscription: Subscription
    changes: Sequence[cycle_burns.BurnChange]
    overage: Decimal
    entry: UUID | None

    @property
    def amount(self) -> Decimal:
        """Return the gross price: money burned and overage; units are no money."""
        money_changes = (c.quantity for c in self.changes if c.lot.unit_wallet_id is None)
        return sum(money_changes, ZERO) + self.overage


@money.exact
def debit_usage(*, livemode: bool, ask: UsageRequest) -> Answer:
    """Record usage and pay it at once: units first, then money.

    Raises: UnknownCustomer; Invalid (`unknown_metric`, `in_the_future`, `period_settled`,
    `key_reused` for the key of a metered event); NoSubscription; NeedsRenewal; Suspended, Paused;
    NotCovered (`insufficient_funds` in PREPAID, `overage_limit`, `quota_exceeded`).
    """

    def make(book: Book, operation_id: UUID) -> dict[str, object]:
        metric = provisioning.find_metric(livemode=livemode, code=ask.metric)
        subscription = subscription_for(book, metric)
        check_open(subscription)
        charged = charge(
            book=book,
            subscription=subscription,
            metric=metric,
            ask=ask,
            event_key=ask.key,
            document={"key": ask.key},
            before=caught_up(book=book, subscription=subscription),
        )
        return {"id": operation_id, **describe(book, metric, charged)}

    rollup_upkeep.keep_up(livemode=livemode, customer_id=ask.customer_id)
    return renewal.first(
        lambda: idempotency.once(
            livemode=livemode,
            customer_id=ask.customer_id,
            key=ask.key,
            operation=DEBIT,
            content=ask.content,
            make=make,
            status=200,
        )
    )


def subscription_for(book: Book, metric: Metric) -> Subscription:
    """Return the live subscription that prices a metric.

    Raises: NoSubscription; NeedsRenewal when a cycle of the customer is over.
    """
    renewal.check(book)
    found = Subscription.objects.filter(
        customer=book.pk,
        status__in=states.LIVE,
        version__charges__metrics=metric,
    ).select_related("customer__book", "version__plan", "offering")
    subscription = found.order_by("starts_at", "pk").distinct().first()
    if subscription is None:
        raise NoSubscription(f"No live subscription prices {metric.code}.")
    return subscription


def check_open(subscription: Subscription) -> None:
    """Check that the subscription takes new usage: neither suspended nor paused.

    Raises: Suspended, Paused.
    """
    if subscription.status == SubscriptionStatus.SUSPENDED:
        raise Suspended("The customer is suspended: arrears are open.")
    if subscription.status == SubscriptionStatus.PAUSED:
        raise Paused("The subscription is paused.")


def caught_up(*, book: Book, subscription: Subscription) -> Calculation:
    """Burn what was metered up to now, so that a debit has the price of its own usage alone; return
    the calculation of what the cycle then owes. The book must be locked.
    """
    now = now_for(book)
    burned = usage_burn.burn_through(book=book, until=now)
    drafts = {(each.pk, each.cycle): draft for each, draft in burned}
    return drafts.get((subscription.pk, subscription.cycle)) or _price(
        book, subscription, now, lambda lot: False
    )


def charge(
    *,
    book: Book,
    subscription: Subscription,
    metric: Metric,
    ask: UsageRequest,
    event_key: str,
    document: Mapping[str, object],
    before: Calculation,
    also_pays: Callable[[CreditLot], bool] = lambda lot: False,
    promised: Decimal = ZERO,
) -> Charged:
    """Record the event and adjust the cycle's burns from what it owed `before` to what it then
    owes. The book must be locked.

    The lots alive now pay, and those that `also_pays` selects. Overage that was `promised` to a
    reservation is not refused.
    """
    now = now_for(book)
    event = _record(book, subscription, metric, ask, event_key, now)
    _check_cap(subscription, metric)
    assert event.counted_at is not None, "it counts toward the cycle that runs"
    after = _price(book, subscription, max(now, event.counted_at), also_pays)
    _check_covered(book, before, after, promised)
    journal = CreditJournal()
    entry = journal.entry(
        book=book,
        event=LedgerEvent.USAGE_BURNED,
        occurred_at=now,
        document={
            **document,
            "subscription": str(subscription.pk),
            "cycle": str(subscription.cycle),
            "metric": metric.code,
            "quantity": money.plain(ask.quantity),
            "usage_event": str(event.pk),
            "usage_at": timestamp(event.occurred_at),
            **presentation.facts(after, product=subscription.version.plan.code),
        },
    )
    changes = cycle_burns.adjust_to(
        entry,
        settlement=usage_burn.stand_in(subscription),
        draft=after,
        may_lower=lambda lot: False,
        keep=True,
    )
    if entry.movements or entry.lines:
        journal.write()
    port.billing().credits_fell([book.pk])
    overage = max(after.to_invoice - before.to_invoice, ZERO)
    written = entry.id if entry.movements or entry.lines else None
    return Charged(event, subscription, changes, overage, written)


def _price(
    book: Book,
    subscription: Subscription,
    until: datetime,
    also_pays: Callable[[CreditLot], bool],
) -> Calculation:
    now = now_for(book)
    return usage_burn.forecast(
        book=book,
        subscription=subscription,
        until=until + MICROSECOND,
        pays=lambda lot: queries.is_alive(lot, now) or also_pays(lot),
    )


def _record(
    book: Book,
    subscription: Subscription,
    metric: Metric,
    ask: UsageRequest,
    event_key: str,
    now: datetime,
) -> UsageEvent:
    """Write the event; its key shares the namespace of metered events.

    Raises: Invalid (`number_too_long`, `in_the_future`, `period_settled`), KeyMetered.
    """
    try:
        check_numbers(ask.properties, usages.numbers_read(metric))
    except BadEvent as error:
        raise Invalid([FieldError("/properties", error.code, str(error))]) from error
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
    mark = rollups.marks(book_ids=[book.pk]).get((book.pk, metric.pk))
    return _write(
        UsageEvent(
            book=book,
            metric=metric,
            key=event_key,
            quantity=ask.quantity,
            occurred_at=occurred_at,
            counted_at=counted_at,
            received_at=now,
            properties=dict(ask.properties),
            behind=rollups.behind(mark, counted_at),
        )
    )


def record_sold(*, book: Book, metric: Metric, ask: UsageRequest, event_key: str) -> UsageEvent:
    """Write the event of usage that is sold by itself: no cycle counts it. The book must be locked.

    Raises: KeyMetered.
    """
    now = now_for(book)
    return _write(
        UsageEvent(
            book=book,
            metric=metric,
            key=event_key,
            quantity=ask.quantity,
            occurred_at=now,
            counted_at=None,
            received_at=now,
            properties=dict(ask.properties),
        )
    )


def _write(event: UsageEvent) -> UsageEvent:
    try:
        with transaction.atomic():
            event.save(force_insert=True)
    except IntegrityError as error:
        detail = f"The key {event.key} was used by a metered event."
        raise KeyMetered([FieldError("/idempotency_key", "key_reused", detail)]) from error
    return event


def _check_cap(subscription: Subscription, metric: Metric) -> None:
    """Check that usage passes no cap beyond which the plan refuses it; the stages bill none of
    that.

    Raises: NotCovered (`quota_exceeded`).
    """
    cap = parse_caps(subscription.version.caps).get(metric.code)
    if cap is None or cap.beyond != Beyond.REFUSED:
        return
    so_far = rollups.usage_so_far(
        subscription=subscription, until=cycles.counted_until(subscription), only=metric
    )
    used = so_far[metric.code].quantity
    if used > cap.quantity:
        over = money.plain(used - cap.quantity)
        raise NotCovered(
            f"The hard cap of {money.plain(cap.quantity)} {metric.code} would be passed by {over}.",
            code="quota_exceeded",
            extra={"shortfall": over, "available": "0"},
        )


def _check_covered(book: Book, before: Calculation, after: Calculation, promised: Decimal) -> None:
    """Check that PREPAID credits cover this usage, and that overage, including that promised to
    open reservations, is within the limit.

    Raises: NotCovered.
    """
    wallet = Wallet.objects.filter(book=book, currency=after.currency).first()
    uncovered = after.arrears - before.arrears
    if uncovered > 0:
        available = (
            "0" if wallet is None else queries.balance_of(wallet, now_for(book))["available"]
        )
        raise NotCovered(
            f"{money.plain(uncovered)} {after.currency} is not covered by credits.",
            extra={"shortfall": money.plain(uncovered), "available": available},
        )
    limit = None if wallet is None else wallet.overage_limit
    if wallet is None or limit is None or after.to_invoice - before.to_invoice <= promised:
        return
    open_debits = queries.overage_of_cycle().filter(wallet=wallet)
    run_up = after.to_invoice + sum((debit.open_overage for debit in open_debits), ZERO)
    run_up += sum(queries.promised_overage([wallet.pk], {book.pk: now_for(book)}).values(), ZERO)
    if run_up > limit:
        raise NotCovered(
            f"The overage would pass the limit of {money.plain(limit)}.",
            code="overage_limit",
            extra={"shortfall": money.plain(run_up - limit), "available": "0"},
        )


def describe(book: Book, metric: Metric, charged: Charged) -> dict[str, object]:
    """Return the answer of a usage debit: every lot that paid, units and money, the price, and what
    no credit covered.
    """
    currency = charged.subscription.version.plan.currency
    wallet = provisioning.money_wallet(book=book, currency=currency)
    units = provisioning.unit_wallet(book=book, metric=metric)
    now = now_for(book)
    return {
        "customer_id": book.key,
        "metric": metric.code,
        "quantity": charged.event.quantity,
        "amount": charged.amount,
        "currency": currency,
        "allocations": [
            {**allocated(change.lot, change.quantity), **change.lot.unit}
            for change in charged.changes
        ],
        "overage": charged.overage,
        "balance": queries.balance_of(wallet, now),
        "unit_balance": queries.balance_of(units, now),
        "entry": charged.entry,
        "usage_event": charged.event.pk,
        "occurred_at": charged.event.occurred_at,
    }
