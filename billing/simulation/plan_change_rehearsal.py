"""The rehearsal of a change of plan now: it is carried out, described, and taken back, so that what
is shown is what would be written.
"""

from __future__ import annotations

from django.db import transaction

from aforo.errors import DomainError
from aforo.money import plain
from billing.lifecycle import mid_period
from billing.lifecycle.plan_changes import PlanTarget
from billing.models import Subscription


def due_now(*, subscription: Subscription, target: PlanTarget) -> dict[str, object]:
    """Return what a change now would settle, give back and bill, or why it is refused. Nothing is
    written; the book is locked for the moment that this takes.
    """
    try:
        with transaction.atomic():
            changed = mid_period.change_now(
                livemode=subscription.customer.book.livemode,
                subscription_id=subscription.pk,
                target=target,
            )
            transaction.set_rollback(True)
    except DomainError as refusal:
        refused = {"code": refusal.code, "detail": refusal.detail}
        return {"refused": refused, "closing": None, "given_back": None, "opening": None}
    given = changed.given_back
    return {
        "refused": None,
        "closing": changed.closing.totals,
        "given_back": {"owed": plain(given.owed), "credits": plain(given.credits)},
        "opening": None if changed.opening is None else changed.opening.totals,
    }
