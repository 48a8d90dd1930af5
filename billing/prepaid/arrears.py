"""Arrears: the next credits pay what a customer owes first, settlements' arrears, then claims."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from decimal import Decimal

from django.db import connection
from django.db.models import F, Q
from django.db.models.functions import Coalesce

from aforo import actors
from aforo.sandbox.services import now_for
from billing.models import Claim, Settlement, Subscription, SubscriptionStatus
from billing.prepaid import reactivation
from billing.settlement import write as settlement_writing
from billing.subscriptions import moves, spend_rules
from ledger.models import Book
from wallets.models import TopUp
from wallets.top_ups import claims as top_up_claims

_WAITING = """
    SELECT book_id FROM billing_settlement WHERE book_id = ANY(%s) AND arrears > arrears_paid
    UNION SELECT book_id FROM billing_claim WHERE book_id = ANY(%s) AND amount > paid
    UNION SELECT customer_id FROM billing_subscription
        WHERE customer_id = ANY(%s) AND status IN ('CREATED', 'SUSPENDED')
"""


def claim_lost_credits(book: Book, top_up: TopUp, owed: Decimal, lost: Decimal) -> None:
    """Claim what a lost dispute leaves unpaid, pay it from the customer's credits, else suspend.

    Of credits of a unit the credits are claimed, of which so much of the payment was `lost`. The
    book is locked; runs in the transaction of the dispute.
    """
    Claim.objects.create(
        book=book,
        top_up=top_up,
        currency=top_up.counted_in,
        amount=owed,
        lost=lost if top_up.credit_unit else None,
        created_at=now_for(book),
    )
    pay_arrears(book)
    if Claim.objects.filter(book=book, amount__gt=F("paid")).exists():
        suspend(book)


def suspend(book: Book, *, reason: str = "An open claim") -> None:
    """Suspend a customer who owes. The book must be locked."""
    active = Subscription.objects.filter(customer=book.pk, status=SubscriptionStatus.ACTIVE)
    with moves.because(reason):
        for subscription in active.select_related("offering").order_by("pk"):
            moves.move(
                book=book,
                subscription=subscription,
                to=SubscriptionStatus.SUSPENDED,
                at=now_for(book),
            )
    spend_rules.refresh_rules(book=book)


@actors.acting(actors.job("arrears"))
def pay_arrears(book: Book) -> None:
    """Pay what is owed, oldest first, from the credits alive now; once all is paid, lift
    suspensions.

    The book is locked; runs in the transaction of the grant or top-up that brought the credits.
    """
    if not waiting([book.pk]):
        return
    owed = Settlement.objects.filter(book=book, arrears__gt=F("arrears_paid")).select_related(
        "subscription__version"
    )
    for settlement in owed.order_by("ends_at", "pk"):
        settlement_writing.pay_arrears(book=book, settlement=settlement, now=now_for(book))
    if _pay_claims(book):
        spend_rules.refresh_rules(book=book)
    if not Claim.objects.filter(book=book, amount__gt=F("paid")).exists():
        reactivation.reactivate(book=book)


def waiting(book_ids: Collection[int]) -> set[int]:
    """Return the books in which the next credits pay arrears, or reactivate a subscription; in
    plain SQL, because captures ask it.
    """
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, [list(book_ids)] * 3)
        return {book_id for (book_id,) in cursor.fetchall()}


def service_ended_at(book: Book, currency: str) -> datetime | None:
    """Return when the last subscription in a currency ended, None while one is live, or where there
    never was one.
    """
    mine = Subscription.objects.filter(customer=book.pk, version__plan__currency=currency)
    ended = Q(status=SubscriptionStatus.CANCELLED) | Q(cancel_at__lte=now_for(book))
    if mine.exclude(ended).exists():
        return None
    # A subscription that never began has no other end.
    ends = mine.values_list(Coalesce("cancel_at", "cancelled_at", "starts_at"), flat=True)
    return max(ends, default=None)


def owed(book_ids: Collection[int]) -> dict[tuple[int, str], Decimal]:
    """Return what the next credits of books have to pay, by book and currency."""
    short, unpaid = F("arrears") - F("arrears_paid"), F("amount") - F("paid")
    settled = Settlement.objects.filter(book__in=book_ids, arrears__gt=F("arrears_paid"))
    claimed = Claim.objects.filter(book__in=book_ids, amount__gt=F("paid"))
    sums: dict[tuple[int, str], Decimal] = defaultdict(Decimal)
    for rows in (settled.annotate(due=short), claimed.annotate(due=unpaid)):
        for book_id, currency, due in rows.order_by().values_list("book", "currency", "due"):
            sums[book_id, currency] += due
    return sums


def _pay_claims(book: Book) -> bool:
    """Pay open claims; return whether there were any."""
    claims = Claim.objects.filter(book=book, amount__gt=F("paid"))
    claims = claims.select_related("debit__entry").order_by("created_at", "pk")
    found = list(claims)
    for claim in found:
        claim.paid += top_up_claims.pay_claim(
            book=book,
            currency=claim.currency,
            owed=claim.amount - claim.paid,
            claim=str(claim.pk),
            now=now_for(book),
            debt_of=claim.debit,
        )
        claim.save(update_fields=["paid"])
    return bool(found)
