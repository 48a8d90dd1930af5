"""Once-only benefits of an offering: one live subscription at a time, its trial and its once-only
grants, unless the offering allows more.
"""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import Q

from aforo.errors import Conflict
from billing.models import Customer, OneTimeBenefit, Subscription, SubscriptionStatus
from ledger.models import Book
from pricing.models import Offering

TRIAL = "trial"


class AlreadySubscribed(Conflict):
    """The customer has a live subscription of this offering, which is sold once.

    Use that subscription.
    """

    default_code = "already_subscribed"


def grant_benefit(code: str) -> str:
    """Return the name of a once-only grant among the benefits of an offering."""
    return f"grant:{code}"


def has_had(*, customer: Customer, offering: Offering, benefit: str) -> bool:
    """Return whether a customer has had a benefit that is granted only once. The book must be
    locked.
    """
    if offering.gives_again:
        return False
    had = OneTimeBenefit.objects.filter(customer=customer, offering=offering, benefit=benefit)
    return had.exists()


def claim_benefits(*, subscription: Subscription, benefits: Collection[str]) -> set[str]:
    """Record that a subscription claims benefits of its offering; return those that it may have.
    The book must be locked. Repeating it returns the same.
    """
    if not benefits:
        return set()
    mine = {"customer_id": subscription.customer_id, "offering_id": subscription.offering_id}
    OneTimeBenefit.objects.bulk_create(
        [
            OneTimeBenefit(**mine, benefit=each, subscription=subscription)
            for each in sorted(benefits)
        ],
        ignore_conflicts=True,
    )
    if subscription.offering.gives_again:
        return set(benefits)
    brought = OneTimeBenefit.objects.filter(**mine, subscription=subscription, benefit__in=benefits)
    return set(brought.values_list("benefit", flat=True))


def check_offering_free(
    book: Book, offering: Offering, *, leaving: Subscription | None = None
) -> None:
    """Check that a customer has no other live subscription of an offering that is sold once.

    `leaving` is one that moves to it. Raises: AlreadySubscribed.
    """
    if offering.several_per_customer:
        return
    live = Subscription.objects.filter(customer=book.pk)
    live = live.filter(Q(offering=offering) | Q(next_offering=offering))
    if leaving is not None:
        live = live.exclude(pk=leaving.pk)
    if live.exclude(status=SubscriptionStatus.CANCELLED).exists():
        raise AlreadySubscribed(f"The customer has a live subscription of {offering.code}.")
