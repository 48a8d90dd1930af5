"""Changes of plan now, in the middle of a period: what has run is settled on the old plan, and the
rest of the period begins on the new one, both by time; the anchor stays (docs/decisions.md#d37).
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db import transaction

from aforo.errors import NotCovered
from aforo.money import plain
from aforo.sandbox.services import now_for
from billing.cycle_end import cycle_settlement
from billing.invoicing import numbering
from billing.lifecycle import changes, plan_changes, subscribing
from billing.lifecycle.plan_changes import CannotMove, PlanTarget
from billing.models import Settlement, SettlementKind, SettlementStatus, Subscription
from billing.prepaid import arrears
from billing.settlement import advance_billing, unserved_fees
from billing.settlement.unserved_fees import GivenBack
from billing.subscriptions import moves, states, stub_grants
from ledger.models import Book


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change now has written."""

    subscription: Subscription
    closing: Settlement
    opening: Settlement | None
    """Of the new plan's fees in advance, less what was given back of the old one's."""
    given_back: GivenBack


def change_plan(
    *, livemode: bool, subscription_id: UUID, target: PlanTarget, reason: str = ""
) -> Subscription:
    """Change the plan now, as `change_now` does; return the subscription."""
    return change_now(
        livemode=livemode, subscription_id=subscription_id, target=target, reason=reason
    ).subscription


@transaction.atomic
@numbering.at_the_end()
def change_now(
    *, livemode: bool, subscription_id: UUID, target: PlanTarget, reason: str = ""
) -> Changed:
    """Change a subscription to another offering or version from now on.

    The old plan's fee in advance is given back as far as it is not served, the new one's is billed
    for the rest of the period, and its grants add what they have more. PREPAID credits that do not
    cover this change nothing. A change that was to come with the renewal is replaced.

    Raises: UnknownSubscription, CannotMove, MetricAlreadySubscribed, AlreadySubscribed, NotCovered;
    Invalid for another currency, mode of billing or interval.
    """
    found = changes.locked(livemode, subscription_id)
    book, now = found.customer.book, now_for(found.customer.book)
    plan_changes.check(found, target, now)
    plan_changes.check_change(found, target)
    if found.status not in states.MAY_CHANGE_PLAN_NOW:
        raise CannotMove(f"The subscription is {found.status.lower()}: only its renewal can.")
    changes.settle_behind(found, now)
    changes.cut_short(found, now)
    found.next_offering, found.next_version = target.offering, target.version
    found.save(update_fields=["current_ends_at", "next_offering", "next_version"])
    with moves.because(reason):
        cycle_settlement.settle_cycle(subscription=found, now=now, is_locked=True)
    return _begin_rest(book, found)


def _begin_rest(book: Book, found: Subscription) -> Changed:
    """Bill and issue what the rest of the period brings on the new plan."""
    at, livemode = found.current_ends_at, book.livemode
    closing = Settlement.objects.get(
        subscription=found,
        cycle=found.cycle,
        kind=SettlementKind.CYCLE,
        status=SettlementStatus.SETTLED,
    )
    moved = subscribing.get_subscription(livemode=livemode, subscription_id=found.pk)
    if moved.status not in states.MAY_CHANGE_PLAN_NOW:
        owed = plain(closing.arrears)
        raise NotCovered(
            f"{owed} of the usage so far is not covered.",
            extra={"shortfall": owed, "available": "0"},
            missing=closing.arrears,
            currency=closing.currency,
        )
    given = unserved_fees.give_back(book=book, subscription=moved, at=at)
    opening = advance_billing.open_rest(book=book, subscription=moved, now=at)
    stub_grants.issue(book=book, subscription=moved, at=at)
    unserved_fees.make_up(book=book, subscription=moved, given=given, at=at)
    if given.credits > 0:
        arrears.pay_arrears(book)
    return Changed(
        subscribing.get_subscription(livemode=livemode, subscription_id=found.pk),
        closing,
        opening,
        given,
    )
