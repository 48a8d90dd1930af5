"""Campaign grants for new subscriptions."""

from __future__ import annotations

from billing.models import Subscription
from ledger.models import Book
from pricing.campaigns import campaigns
from pricing.models import CampaignTrigger
from wallets.grants import campaign_grants
from wallets.port import Traits


def grant_to_subscriber(*, book: Book, subscription: Subscription) -> None:
    """Grant the credits of running campaigns for a subscription that starts. The book must be
    locked.

    An audience of offerings means the one subscribed to. A campaign that refuses never stops the
    subscription, and repeating this grants nothing twice.
    """
    mine = Traits(
        tags=frozenset(subscription.customer.tags),
        offerings=frozenset([subscription.offering.code]),
    )
    running = campaigns.running_campaigns(
        livemode=book.livemode, trigger=CampaignTrigger.SUBSCRIPTION
    )
    # A grant may start another subscription, which runs all of them again.
    campaigns.lock_in_order(running)
    for campaign in running:
        campaign_grants.grant_credits(
            campaign=campaign,
            books=[book],
            cause=str(subscription.pk),
            traits={book.pk: mine},
        )
