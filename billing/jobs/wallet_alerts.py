"""Watch the alerts of customers: what was crossed is told by event and, where asked, by mail."""

from __future__ import annotations

from decimal import Decimal

from django.db import transaction

from aforo import money
from aforo.sandbox.services import now_for
from aforo.webhooks.models import EventType
from billing import mail
from billing.models import Customer
from billing.realtime import pending_usage
from ledger.entries import books
from ledger.models import Book
from wallets.alerts import watching
from wallets.alerts.watching import Told
from wallets.models import AlertUnit


def watch(*, book_id: int) -> int:
    """Compare a customer's thresholds with its wallets, metered usage included; return how many
    were told of.
    """
    book = Book.objects.select_related("test_clock").get(pk=book_id)
    # A forecast, which needs no lock; the next minute has the next one.
    pending = pending_usage.pending(book=book, now=now_for(book))
    with transaction.atomic():
        book = books.lock_book(book_id=book_id)
        told = watching.check(book=book, pending=pending, now=now_for(book))
        _write(book, told)
    return len(told)


def _write(book: Book, told: list[Told]) -> None:
    """Write the mails about thresholds that ask for one."""
    wanted = [each for each in told if each.threshold.mail]
    customer = Customer.objects.filter(pk=book.pk).first() if wanted else None
    if customer is None:
        return
    customer.book = book
    now = now_for(book)
    for each in wanted:
        subject, text = _letter(each)
        own = f"{each.facts.get('state', '')}:{now.isoformat()}"
        mail.write(
            customer=customer,
            subject=subject,
            text=f"{text}\n",
            sameness=each.sameness or f"{each.type}:{each.threshold.pk}:{own}",
            now=now,
        )


def _letter(told: Told) -> tuple[str, str]:
    facts = {
        name: money.plain(value) if isinstance(value, Decimal) else value
        for name, value in told.facts.items()
    }
    code = facts.get("currency") or facts.get("metric")
    if told.type == EventType.CREDITS_EXPIRING:
        amount = facts.get("amount") or facts.get("quantity")
        day = f"{told.facts['expires_at']:%Y-%m-%d}"
        return f"Credits expire on {day}", f"{amount} {code} of your credits expire on {day} (UTC)."
    if facts["state"] == "RECOVERED":
        return (
            f"Credits in {code}: back to normal",
            f"{facts['available']} {code} are available; the alert at {_figure(facts)} is over.",
        )
    return (
        f"Credits in {code}: {_figure(facts)} reached",
        f"{facts['available']} {code} are available; the alert at {_figure(facts)} was reached.",
    )


def _figure(facts: dict[str, object]) -> str:
    """Return a threshold as a letter names it."""
    at, code = facts["at"], facts.get("currency") or facts.get("metric")
    match facts["unit"]:
        case AlertUnit.AMOUNT:
            return f"{at} {code} left"
        case AlertUnit.PERCENT:
            return f"{at} % left"
        case AlertUnit.RUNWAY_DAYS:
            return f"{at} days left at the pace of the last week"
        case AlertUnit.SPENT_PER_DAY:
            return f"{at} {code} spent in a day"
    return f"{at} {code} spent in a month"
