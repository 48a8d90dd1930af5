"""Audiences of campaigns: the traits of given customers, and everybody whom a campaign is for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.db.models import QuerySet

from billing.models import Customer, Subscription
from billing.subscriptions.states import LIVE
from ledger.models import Book
from pricing.models import Campaign, CampaignAudience
from wallets.port import Traits


def traits_of(books: Sequence[Book]) -> Mapping[int, Traits]:
    """Return the tags, live offerings and zones of customers, by their book's primary key, in two
    queries; a book without a customer has no traits.
    """
    ids = [book.pk for book in books]
    offerings: dict[int, set[str]] = {}
    live = Subscription.objects.filter(customer__in=ids, status__in=LIVE)
    for book_id, offering in live.values_list("customer", "offering__code"):
        offerings.setdefault(book_id, set()).add(offering)
    tagged = Customer.objects.filter(book__in=ids).values_list("book", "tags", "timezone")
    return {book_id: Traits() for book_id in ids} | {
        book_id: Traits(frozenset(tags), frozenset(offerings.get(book_id, ())), zone)
        for book_id, tags, zone in tagged
    }


def audience_of(campaign: Campaign) -> QuerySet[Book]:
    """Return the books of everybody whom a campaign is for."""
    books = Book.objects.filter(livemode=campaign.livemode, customer__isnull=False)
    match campaign.audience:
        case CampaignAudience.TAGS:
            return books.filter(customer__tags__overlap=campaign.audience_list)
        case CampaignAudience.OFFERINGS:
            live = Subscription.objects.filter(
                status__in=LIVE, offering__code__in=campaign.audience_list
            )
            return books.filter(pk__in=live.values("customer"))
        case CampaignAudience.CUSTOMERS:
            return books.filter(key__in=campaign.audience_list)
    return books
