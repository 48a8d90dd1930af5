"""Overdue invoices are reminded of step by step, each once; the last step suspends."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.core import mail as outgoing
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from aforo.errors import DomainError
from aforo.webhooks.models import OutboxEvent
from billing import mail
from billing.adjustments import corrections
from billing.dunning import pauses, reminders, schedules
from billing.finance import verification
from billing.invoicing import invoices, payments, write_offs
from billing.invoicing.document_sending import attachment
from billing.jobs import due_work
from billing.models import Invoice, Mail, Reminder, Subscription
from ledger.models import Book
from tests import factories
from tests.factories import FEBRUARY, advance
from wallets.models import Wallet

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("dunned")]

DAY = timedelta(days=1)
DUE = FEBRUARY + 30 * DAY
FEE = {"code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": "100"}}


def owing(mode: str = "HYBRID") -> Book:
    """Return a customer whose invoice of January, of 100, is issued and open."""
    factories.offering(billing_mode=mode, charges=[FEE])
    book = factories.clocked_customer(email="ann@example.com")
    factories.subscription()
    advance(book, FEBRUARY)
    return book


def steps() -> list[tuple[int, str, int]]:
    """Return the steps of January's invoice, each with the days since it was due."""
    first = Invoice.objects.order_by("issued_at")[0]
    return [
        (each.day, each.action, (each.occurred_at - DUE).days)
        for each in Reminder.objects.filter(invoice=first).order_by("pk")
    ]


def pay(amount: int = 100) -> None:
    invoice = Invoice.objects.order_by("issued_at")[0]
    payments.pay(
        livemode=False, invoice=str(invoice.pk), amount=Decimal(amount), reference="bank",
        key=f"pay-{amount}",
    )  # fmt: skip


def states() -> tuple[str, str]:
    return Subscription.objects.get().status, Wallet.objects.get().spend_state


def test_a_clock_does_each_step_on_its_day_and_the_last_one_suspends() -> None:
    book = owing()

    advance(book, DUE - DAY)
    before = steps()
    advance(book, DUE + 13 * DAY)
    reminded = steps()
    served = states()
    advance(book, DUE + 15 * DAY)

    assert before == []
    assert reminded == [(0, "REMIND", 0), (3, "REMIND", 3), (7, "REMIND", 7)]
    assert served == ("ACTIVE", "ACTIVE")
    assert steps() == [*reminded, (14, "SUSPEND", 14)]
    assert states() == ("SUSPENDED", "SUSPENDED")
    told = OutboxEvent.objects.filter(type="invoice.overdue").order_by("created_at", "pk")
    assert [(each.payload["day"], each.payload["action"]) for each in told] == [
        (0, "REMIND"), (3, "REMIND"), (7, "REMIND"), (14, "SUSPEND"),
    ]  # fmt: skip
    assert {each.payload["amount"] for each in told} == {"100"}


def test_payment_reactivates_and_stops_the_reminders() -> None:
    book = owing()
    advance(book, DUE + 15 * DAY)

    pay(40)
    in_part = states()
    pay(60)

    assert in_part == ("SUSPENDED", "SUSPENDED")
    assert states() == ("ACTIVE", "ACTIVE")
    assert verification.verify().ok


def test_a_paid_invoice_is_not_reminded_of() -> None:
    book = owing()
    advance(book, DUE + 4 * DAY)
    pay()

    advance(book, DUE + 20 * DAY)

    assert steps() == [(0, "REMIND", 0), (3, "REMIND", 3)]
    assert states() == ("ACTIVE", "ACTIVE")


def test_credit_for_all_that_is_open_lifts_the_suspension() -> None:
    book = owing()
    advance(book, DUE + 15 * DAY)
    invoice = Invoice.objects.order_by("issued_at")[0]

    assert invoice.settlement_id is not None
    corrections.adjust_settlement(
        livemode=False,
        settlement_id=invoice.settlement_id,
        lines=[corrections.Correction("Not served", Decimal(-100), "fee")],
        reason="Not served",
        key="fix",
        by="test",
    )
    advance(book, DUE + 16 * DAY)

    assert Invoice.objects.get(pk=invoice.pk).status == "PAID"
    assert states() == ("ACTIVE", "ACTIVE")


def test_written_off_is_not_reminded_of_and_stays_suspended_until_it_is_paid() -> None:
    book = owing()
    advance(book, DUE + 15 * DAY)
    invoice = Invoice.objects.order_by("issued_at")[0]
    write_offs.write_off(livemode=False, invoice=str(invoice.pk), reason="Gone", key="off")

    advance(book, DUE + 16 * DAY)
    suspended = states()
    pay()

    assert suspended == ("SUSPENDED", "SUSPENDED")
    assert states() == ("ACTIVE", "ACTIVE")


def test_a_pause_holds_the_steps_and_the_last_one_due_is_done_at_its_end() -> None:
    book = owing()
    advance(book, DUE + DAY)
    pauses.pause(livemode=False, customer_id="cust_1", until=DUE + 10 * DAY, reason="Agreed")

    advance(book, DUE + 9 * DAY)
    paused = steps()
    advance(book, DUE + 11 * DAY)

    assert paused == [(0, "REMIND", 0)]
    assert steps() == [(0, "REMIND", 0), (7, "REMIND", 10)]


def test_a_pause_that_is_ended_sends_what_is_due() -> None:
    book = owing()
    advance(book, DUE - DAY)
    pauses.pause(livemode=False, customer_id="cust_1", until=DUE + 60 * DAY, reason="Agreed")
    advance(book, DUE + 4 * DAY)

    pauses.resume(livemode=False, customer_id="cust_1")
    advance(book, DUE + 5 * DAY)

    assert [step[:2] for step in steps()] == [(3, "REMIND")]


@pytest.mark.parametrize(
    ("refuse", "code"),
    [
        (lambda: pauses.pause(livemode=False, customer_id="cust_1", until=FEBRUARY, reason=""),
         "in_the_past"),
        (lambda: pauses.resume(livemode=False, customer_id="cust_1"), "dunning_not_paused"),
        (lambda: reminders.send_again(livemode=False, invoice=str(Invoice.objects.get().pk),
                                      key="k"), "not_reminded"),
        (lambda: schedules.change(livemode=False, reminder_days=[3, 400], suspend_day=None),
         "invalid"),
        (lambda: schedules.change(livemode=False, reminder_days=[0, 7], suspend_day=3),
         "invalid"),
    ],
)  # fmt: skip
def test_what_is_refused_changes_nothing(refuse: Any, code: str) -> None:
    owing()

    with pytest.raises(DomainError) as refused:
        refuse()

    assert refused.value.code == code
    assert [each.subject for each in Mail.objects.all()] == ["Invoice TEST-000001 of Aforo"]
    assert not Reminder.objects.exists()
    assert schedules.in_force(livemode=False) == schedules.Schedule()
    assert pauses.current(Book.objects.get()) is None


def test_the_newest_schedule_is_in_force_and_nobody_is_reminded_twice_for_a_day() -> None:
    book = owing()
    advance(book, DUE + 4 * DAY)

    schedules.change(livemode=False, reminder_days=[3, 5], suspend_day=None)
    advance(book, DUE + 30 * DAY)

    assert steps() == [(0, "REMIND", 0), (3, "REMIND", 3), (5, "REMIND", 5)]
    assert states() == ("ACTIVE", "ACTIVE")


def live_owing(monkeypatch: pytest.MonkeyPatch, days: int) -> Book:
    """Return a live customer whose invoice was due so many days ago, and was reminded of."""
    monkeypatch.setattr(invoices, "DUE_AFTER", -days * DAY)
    factories.offering(billing_mode="HYBRID", charges=[FEE], livemode=True)
    book = factories.customer(livemode=True, email="ann@example.com")
    factories.subscription(livemode=True, starts_at=timezone.now() - 32 * DAY)
    sweep()
    assert Invoice.objects.count() == 1
    return book


def reminder_mail() -> Mail:
    return Mail.objects.get(subject__startswith="Reminder")


def sweep() -> due_work.Swept:
    swept = due_work.sweep(now=timezone.now(), clock=timezone.now)
    assert not swept.failures
    return swept


def test_repeated_sweeps_send_only_the_last_reminder_and_its_mail_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live_owing(monkeypatch, 8)

    for _ in range(3):
        sweep()

    assert [(each.day, each.action) for each in Reminder.objects.all()] == [(7, "REMIND")]
    document, sent = outgoing.outbox
    number = Invoice.objects.get().number
    assert (sent.to, sent.subject) == (["ann@example.com"], f"Reminder: invoice {number}")
    assert "100.00 USD is open" in sent.body
    assert [each.filename for each in sent.attachments] == [
        each.filename for each in document.attachments
    ]
    assert {each.status for each in Mail.objects.all()} == {"SENT"}


def test_the_sandbox_keeps_its_mail() -> None:
    advance(owing(), DUE + DAY)

    mail.send_due(clock=timezone.now, attach=attachment)

    assert outgoing.outbox == []
    # The invoices of January and February, and the reminder of the first.
    assert [each.status for each in Mail.objects.all()] == ["KEPT"] * 3


def test_a_mail_that_the_server_refuses_is_tried_again_and_then_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refused = []

    def refuse(self: object) -> None:
        refused.append(self)
        raise ConnectionRefusedError("no server")

    monkeypatch.setattr("django.core.mail.EmailMessage.send", refuse)
    live_owing(monkeypatch, 1)
    now = timezone.now() + timedelta(minutes=1)
    for day in range(8):
        later = now + 2 * day * DAY
        mail.send_due(clock=partial(max, now, later), attach=attachment)

    kept = reminder_mail()
    assert (kept.status, kept.failure) == ("FAILED", "ConnectionRefusedError: no server")
    # Five times the invoice, and five times its reminder.
    assert len(refused) == 10
    monkeypatch.undo()
    assert mail.send_again(kept, now=now)
    assert mail.send_due(clock=lambda: now, attach=attachment) == 1
    assert not mail.send_again(kept, now=now)


def test_a_mail_whose_sender_was_killed_is_not_sent_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live_owing(monkeypatch, 1)
    Mail.objects.update(status="SENDING", sent_at=None, due_at=timezone.now() - DAY)

    assert mail.send_due(clock=timezone.now, attach=attachment) == 0

    assert {each.status for each in Mail.objects.all()} == {"FAILED"}
    assert len(outgoing.outbox) == 2


def test_the_last_reminder_is_sent_again_with_what_is_open_now_once_per_key() -> None:
    book = owing()
    advance(book, DUE + 4 * DAY)
    pay(40)
    number = Invoice.objects.order_by("issued_at")[0].number

    for _ in range(2):
        reminders.send_again(livemode=False, invoice=str(number), key="again")

    last = Mail.objects.order_by("created_at").last()
    assert last is not None
    assert Mail.objects.exclude(subject__startswith="Invoice").count() == 3
    assert "60.00 USD is open" in last.text
    assert len(steps()) == 2


@pytest.mark.parametrize(
    "statement", ["DELETE FROM billing_reminder", "UPDATE billing_reminder SET day = 9"]
)
def test_reminders_are_append_only(statement: str) -> None:
    advance(owing(), DUE + DAY)

    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)

    assert len(steps()) == 1
