"""What campaigns give when a subscription starts."""

from __future__ import annotations

from billing.models import Subscription
from ledger.models import Book
from pricing import services as pricing
from pricing.models import CampaignTrigger
from wallets import services as wallets
from wallets.audience import Traits


def give_to_subscriber(*, book: Book, subscription: Subscription) -> None:
    """Give what running campaigns promise for a subscription that starts. The book must be locked.

    An audience of offerings means the one subscribed to. A campaign that gives nothing never stops
    the subscription, and repeating this gives nothing twice.
    """
    mine = Traits(
        tags=frozenset(subscription.customer.tags),
        offerings=frozenset([subscription.offering.code]),
    )
    running = pricing.running_campaigns(
        livemode=book.livemode, trigger=CampaignTrigger.SUBSCRIPTION
    )
    # What one gives may start another subscription, which asks for all of them again.
    pricing.hold_in_order(running)
    for campaign in running:
        wallets.give(
            campaign=campaign,
            books=[book],
            cause=str(subscription.pk),
            traits={book.pk: mine},
        )
