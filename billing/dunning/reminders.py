"""Reminders of overdue invoices, step by step, each once; the last step suspends the customer.

Of steps that fall due together, after a pause or where nobody swept, only the last reminder is
sent. An invoice that is paid, credited, void or written off is not reminded of any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from aforo import actors
from aforo.errors import Conflict
from aforo.money import amount_text
from aforo.sandbox.services import now_for
from aforo.webhooks.models import EventType
from billing import mail
from billing.dunning import pauses, schedules
from billing.dunning.schedules import Schedule, Step
from billing.invoicing import charges
from billing.invoicing.invoices import get_invoice
from billing.models import (
    Customer,
    DunningAction,
    DunningPause,
    Invoice,
    InvoiceStatus,
    IssuedDocument,
    Reminder,
    Settlement,
    Subscription,
    SubscriptionStatus,
)
from billing.prepaid import arrears, reactivation
from billing.subscriptions import spend_rules
from ledger.entries import books
from ledger.models import Book
from wallets import outbox
from wallets.models import SpendState, Wallet

# When, whose, and what.
DueStep = tuple[datetime, int, tuple[object, ...]]


class NotReminded(Conflict):
    """The invoice is not open, or has had no reminder yet, so none is sent again.

    The sweep sends the first one when the invoice is due.
    """

    default_code = "not_reminded"


def overdue(now: datetime) -> QuerySet[Invoice]:
    """Return the open invoices that are due by a moment."""
    return Invoice.objects.filter(status=InvoiceStatus.OPEN, due_at__lte=now)


def due_books(*, now: datetime) -> list[int]:
    """Return the books of customers with a step of dunning that is due; those on a test clock wait
    for their clock.
    """
    newest = DunningPause.objects.filter(customer=OuterRef("customer")).order_by("-pk")
    paused = DunningPause.objects.filter(pk__in=newest.values("pk")[:1], until__gt=now)
    found = set[int]()
    for livemode in (True, False):
        steps = schedules.in_force(livemode=livemode).steps
        if steps:
            mine = overdue(now).filter(livemode=livemode, customer__book__test_clock=None)
            mine = mine.filter(_any_due(steps, now)).exclude(Exists(paused))
            found.update(mine.values_list("customer", flat=True))
    return sorted(found)


def _any_due(steps: Iterable[Step], now: datetime) -> Q:
    due = Q()
    for step in steps:
        done = Reminder.objects.filter(invoice=OuterRef("pk"), action=step.action)
        if step.action == DunningAction.REMIND:
            done = done.filter(day__gte=step.day)
        due |= Q(due_at__lte=now - timedelta(days=step.day)) & ~Q(Exists(done))
    return due


def due_on_clock(*, clock_id: UUID, to: datetime) -> Iterator[DueStep]:
    """Return what falls due by a moment for the customers of a test clock."""
    steps = schedules.in_force(livemode=False).steps
    mine = overdue(to).filter(customer__book__test_clock=clock_id).prefetch_related("reminders")
    found = list(mine)
    paused = pauses.in_force({invoice.customer_id for invoice in found})
    for invoice in found:
        for step in _left(invoice, steps):
            at = _at(invoice, step)
            pause = paused.get(invoice.customer_id)
            if pause is not None and pause.until is not None:
                at = max(at, pause.until)
            yield at, invoice.customer_id, ("dunning", invoice.pk, step.day, str(step.action))


def _left(invoice: Invoice, steps: Iterable[Step]) -> list[Step]:
    """Return the steps that an invoice has not had."""
    reminded, is_suspended = -1, False
    for reminder in invoice.reminders.all():
        if reminder.action == DunningAction.SUSPEND:
            is_suspended = True
        else:
            reminded = max(reminded, reminder.day)
    return [
        step
        for step in steps
        if (step.day > reminded if step.action == DunningAction.REMIND else not is_suspended)
    ]


def _at(invoice: Invoice, step: Step) -> datetime:
    assert invoice.due_at is not None, "an issued invoice is due some day"
    return invoice.due_at + timedelta(days=step.day)


@actors.acting(actors.job("dunning"))
@transaction.atomic
def remind(*, book_id: int) -> int:
    """Do the steps of dunning that are due for a customer; return how many were done. Takes the
    book's lock.
    """
    book = books.lock_book(book_id=book_id)
    now = now_for(book)
    pause = pauses.in_force([book_id]).get(book_id)
    if pause is not None and pause.until is not None and pause.until > now:
        return 0
    schedule = schedules.in_force(livemode=book.livemode)
    mine = overdue(now).filter(customer=book_id).select_related("customer")
    done = 0
    for invoice in mine.prefetch_related("reminders").order_by("due_at", "pk"):
        for step in _to_do(invoice, schedule, now):
            _do(book, invoice, step, now)
            done += 1
    return done


def _to_do(invoice: Invoice, schedule: Schedule, now: datetime) -> list[Step]:
    """Return the steps to do: of reminders only the last one, and the suspension."""
    due = [step for step in _left(invoice, schedule.steps) if _at(invoice, step) <= now]
    reminders = [step for step in due if step.action == DunningAction.REMIND]
    return reminders[-1:] + [step for step in due if step.action == DunningAction.SUSPEND]


def _do(book: Book, invoice: Invoice, step: Step, now: datetime) -> None:
    reminder = Reminder.objects.create(
        invoice=invoice, day=step.day, action=step.action, open=invoice.open, occurred_at=now
    )
    facts = {
        "invoice": invoice.number,
        "amount": invoice.open,
        "currency": invoice.currency,
        "due_at": invoice.due_at,
        "day": step.day,
        "action": str(step.action),
    }
    outbox.notify(book, EventType.INVOICE_OVERDUE, facts, now)
    _mail(book, reminder, f"reminder:{invoice.pk}:{step.day}:{step.action}")
    if step.action == DunningAction.REMIND:
        charges.plan(book=book, invoice=invoice, now=now)
    if step.action == DunningAction.SUSPEND:
        arrears.suspend(book, reason=f"Invoice {invoice.number} is not paid")


def _mail(book: Book, reminder: Reminder, sameness: str) -> None:
    invoice, customer = reminder.invoice, reminder.invoice.customer
    customer.book = book
    amount = f"{amount_text(invoice.open, invoice.currency)} {invoice.currency}"
    is_last = reminder.action == DunningAction.SUSPEND
    lines = [
        f"Dear {customer.name},",
        f"our invoice {invoice.number} was due on {invoice.due_at:%d %B %Y}; {amount} is open.",
        "Your service is suspended until it is paid."
        if is_last
        else "Please pay it, and name its number. If you have paid already, thank you.",
    ]
    mail.write(
        customer=customer,
        invoice=invoice,
        document=IssuedDocument.objects.filter(subject=invoice.pk).first(),
        subject=f"{'Service suspended' if is_last else 'Reminder'}: invoice {invoice.number}",
        text="\n\n".join(lines) + "\n",
        sameness=sameness,
        now=now_for(book),
    )


@transaction.atomic
def send_again(*, livemode: bool, invoice: str, key: str) -> Reminder:
    """Send the last reminder of an open invoice again, with what is open now, once per key.

    Raises: UnknownInvoice, NotReminded.
    """
    found = get_invoice(livemode=livemode, reference=invoice)
    book = books.lock_book(book_id=found.customer_id)
    found.refresh_from_db()
    last = found.reminders.order_by("-pk").first()
    if last is None or found.status != InvoiceStatus.OPEN:
        raise NotReminded(f"The invoice {found} is {found.status} and has no reminder to repeat.")
    last.invoice, found.customer = found, Customer.objects.get(pk=book.pk)
    _mail(book, last, f"again:{key}")
    return last


def lifted_books(*, clock_id: UUID | None = None) -> list[int]:
    """Return the books of customers who are suspended though what dunning suspended them for is
    paid, credited or void by now, on a test clock or on none.
    """
    lifted = Reminder.objects.filter(
        action=DunningAction.SUSPEND, invoice__customer__book__test_clock=clock_id
    ).exclude(invoice__status__in=spend_rules.UNPAID)
    mine = OuterRef("invoice__customer")
    suspended = Subscription.objects.filter(customer=mine, status=SubscriptionStatus.SUSPENDED)
    stopped = Wallet.objects.filter(book=mine, spend_state=SpendState.SUSPENDED)
    owing = Settlement.objects.filter(book=mine, arrears__gt=F("arrears_paid"))
    unpaid = spend_rules.suspending().filter(customer=mine)
    waiting = lifted.filter(Exists(suspended) | Exists(stopped)).exclude(
        Exists(owing) | Exists(unpaid)
    )
    return sorted(set(waiting.values_list("invoice__customer", flat=True)))


@actors.acting(actors.job("dunning"))
@transaction.atomic
def lift(*, book_id: int) -> None:
    """Serve a customer again, unless it owes anything else. Takes the book's lock."""
    book = books.lock_book(book_id=book_id)
    spend_rules.refresh_rules(book=book)
    reactivation.reactivate(book=book)
