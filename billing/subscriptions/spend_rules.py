"""Spend rules: how the wallets of a customer may be spent, by its live subscriptions."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import F, QuerySet

from aforo.database import joined
from aforo.database.together import Part, select_together
from billing.models import (
    Claim,
    DunningAction,
    Invoice,
    InvoiceStatus,
    Reminder,
    Settlement,
    Subscription,
    SubscriptionStatus,
)
from billing.subscriptions import states
from ledger.models import Book
from pricing import catalogue
from wallets.lots import provisioning
from wallets.models import SpendState, UnitWallet, Wallet

_SPEND_STATE = {
    SubscriptionStatus.SUSPENDED: SpendState.SUSPENDED,
    SubscriptionStatus.PAUSED: SpendState.PAUSED,
}

# One that is written off is still owed.
UNPAID = [str(InvoiceStatus.OPEN), str(InvoiceStatus.UNCOLLECTIBLE)]
_SUSPENDING = """
    JOIN billing_invoice AS i ON i.id = t.invoice_id
    WHERE i.customer_id = %s AND i.status = ANY(%s) AND t.action = 'SUSPEND'
"""


def refresh_rules(*, book: Book) -> None:
    """Write the spend rules of every wallet from the oldest live subscription that it serves.

    A wallet that serves none is PREPAID with the default burn order; an open claim, or an unpaid
    invoice for which dunning suspends, suspends all of them. The book must be locked.
    """
    live = joined.select(
        Subscription,
        ["version__plan", "offering"],
        """
        WHERE t.customer_id = %s AND t.status = ANY(%s)
        ORDER BY t.starts_at, t.created_at, t.id
        """,
        [book.pk, [*map(str, states.LIVE)]],
    )
    found = select_together(
        [
            Part(Claim, "WHERE t.book_id = %s AND t.amount > t.paid", [book.pk]),
            Part(Reminder, _SUSPENDING, [book.pk, UNPAID]),
            Part(Wallet, "WHERE t.book_id = %s", [book.pk]),
            Part(UnitWallet, "WHERE t.book_id = %s", [book.pk]),
        ]
    )
    claims, reminders, money_wallets, unit_wallets = found.rows
    is_owing = bool(claims or reminders)
    for wallet in money_wallets:
        serving = [s for s in live if s.version.plan.currency == wallet.currency]
        provisioning.apply_rules(wallets=[wallet], rules=_rules(serving, owing=is_owing))
    for units in unit_wallets:
        serving = [s for s in live if units.metric_id in _charged_metrics(s)]
        provisioning.apply_rules(wallets=[units], rules=_rules(serving, owing=is_owing))


def _charged_metrics(subscription: Subscription) -> set[int]:
    return {metric.pk for metric in catalogue.metrics_of(subscription.version)}


def _rules(serving: Sequence[Subscription], *, owing: bool) -> provisioning.SpendRules:
    if not serving:
        state = SpendState.SUSPENDED if owing else SpendState.ACTIVE
        return provisioning.SpendRules(spend_state=state)
    oldest = serving[0]
    state = _SPEND_STATE.get(SubscriptionStatus(oldest.status), SpendState.ACTIVE)
    return provisioning.SpendRules(
        billing_mode=oldest.billing_mode,
        burn_order=tuple(oldest.version.burn_order),
        overage_limit=oldest.offering.overage_limit,
        over_capture=oldest.offering.over_capture,
        grace_seconds=oldest.offering.grace_seconds,
        debt_limit=oldest.offering.debt_limit,
        spend_state=SpendState.SUSPENDED if owing else state,
        cycle_starts_at=oldest.current_starts_at,
        cycle_ends_at=oldest.current_ends_at,
    )


def set_status(*, book: Book, subscription: Subscription, status: SubscriptionStatus) -> None:
    """Change a subscription's state and what its wallets may do. The book must be locked."""
    subscription.status = status
    subscription.save(update_fields=["status"])
    refresh_rules(book=book)


def owes(subscription: Subscription) -> bool:
    """Return whether arrears of a settled cycle, a claim on the customer, or an invoice for which
    dunning has suspended it, are open.
    """
    arrears = Settlement.objects.filter(subscription=subscription, arrears__gt=F("arrears_paid"))
    claims = Claim.objects.filter(book=subscription.customer_id, amount__gt=F("paid"))
    dunned = suspending().filter(customer=subscription.customer_id)
    return arrears.exists() or claims.exists() or dunned.exists()


def suspending() -> QuerySet[Invoice]:
    """Return the invoices for which dunning has suspended their customers until they are paid."""
    return Invoice.objects.filter(status__in=UNPAID, reminders__action=DunningAction.SUSPEND)
