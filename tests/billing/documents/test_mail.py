"""Documents by mail: each once as it is issued, with its file, and again when somebody asks."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail as outgoing
from django.db import IntegrityError, transaction
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from billing import mail
from billing.customers import customers
from billing.invoicing import document_files, earlier_documents, numbering
from billing.jobs import due_work
from billing.models import FileFormat, Invoice, IssuedDocument, Mail, Settlement
from tests import factories
from tests.factories import FEBRUARY, advance
from tests.ledger.seals.tampering import guards_off

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
FEE = {"code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": "100"}}
ANN = "ann@example.com"


def live(mode: str = "HYBRID", **about: Any) -> Mail:
    """Return the mail of the document of a live month that cost 100."""
    factories.offering(billing_mode=mode, charges=[FEE], livemode=True)
    factories.customer(livemode=True, **({"email": ANN} | about))
    if mode == "PREPAID":
        factories.top_up("cust_1", "500", livemode=True)
    factories.subscription(livemode=True, starts_at=timezone.now() - 32 * DAY)
    sweep()
    return Mail.objects.get()


def sweep() -> None:
    assert not due_work.sweep(now=timezone.now(), clock=timezone.now).failures


def sandbox(**about: Any) -> Invoice:
    """Return the open invoice of January, of 100, of a customer on a test clock."""
    factories.offering(billing_mode="HYBRID", charges=[FEE])
    book = factories.clocked_customer(**({"email": ANN} | about))
    factories.subscription()
    advance(book, FEBRUARY)
    return Invoice.objects.get()


def without_pango(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "weasyprint", None)


def test_an_invoice_is_mailed_once_with_its_page_where_there_is_no_pdf(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without_pango(monkeypatch)
    kept = live()

    for _ in range(2):
        sweep()

    (sent,) = outgoing.outbox
    number = Invoice.objects.get().number
    assert (sent.to, sent.subject) == ([ANN], f"Invoice {number} of Aforo")
    assert f"our invoice {number} of 100.00 USD." in sent.body
    assert "100.00 USD is due by " in sent.body
    assert f"Attached: {number}.html" in sent.body
    (file,) = sent.attachments
    page = document_files.file_of(IssuedDocument.objects.get(), FileFormat.HTML)
    assert (file.filename, file.mimetype) == (f"{number}.html", "text/html")
    assert file.content == bytes(page.content).decode()
    kept.refresh_from_db()
    assert (kept.status, kept.attached, kept.attempts) == ("SENT", f"{number}.html", 1)


def test_the_pdf_goes_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Printer:
        def __init__(self, string: str) -> None:
            self.string = string

        def write_pdf(self) -> bytes:
            return b"%PDF-1.7 of " + str(len(self.string)).encode()

    monkeypatch.setitem(sys.modules, "weasyprint", type(sys)("weasyprint"))
    monkeypatch.setattr("weasyprint.HTML", Printer, raising=False)

    live()

    (file,) = outgoing.outbox[0].attachments
    assert (file.filename[-4:], file.mimetype) == (".pdf", "application/pdf")
    assert file.content.startswith(b"%PDF-1.7")


def test_a_prepaid_statement_is_mailed_too() -> None:
    kept = live("PREPAID")

    assert Settlement.objects.get().statement_number == kept.document.number  # type: ignore[union-attr]
    assert (kept.invoice, kept.status) == (None, "SENT")
    assert kept.subject.startswith("Statement ")
    assert "is due" not in kept.text


@pytest.mark.parametrize("company", [True, False])
def test_the_company_or_the_customer_switches_it_off(
    company: bool,
) -> None:
    with override_settings(MAIL_DOCUMENTS=not company):
        sandbox(mail_documents=company)

    assert IssuedDocument.objects.exists()
    assert not Mail.objects.exists()


def test_without_an_address_there_is_a_row_that_says_so_and_waits_for_one() -> None:
    kept = live(email="")
    assert (kept.status, kept.to, kept.sent_at) == ("NO_ADDRESS", "", None)
    assert not mail.send_again(kept, now=timezone.now())

    customers.update_customer(livemode=True, customer_id="cust_1", changes={"email": ANN})
    assert mail.send_again(kept, now=timezone.now())
    sweep()

    assert [each.to for each in outgoing.outbox] == [[ANN]]


def test_the_sandbox_keeps_what_it_would_have_sent() -> None:
    invoice = sandbox()
    sweep()

    kept = Mail.objects.get()
    assert (kept.invoice, kept.to, kept.status) == (invoice, ANN, "KEPT")
    assert outgoing.outbox == []


def test_a_file_that_cannot_be_made_fails_its_mail_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mail, "AT_ONCE", 0)
    kept = live()
    monkeypatch.undo()
    mail.write(customer=kept.customer, subject="Hello", text="x", sameness="x", now=timezone.now())

    def broken(document: IssuedDocument) -> mail.Attachment:
        raise ValueError("no such font")

    assert mail.send_due(clock=timezone.now, attach=broken) == 1

    kept.refresh_from_db()
    assert (kept.status, kept.failure) == ("FAILED", "ValueError: no such font")
    assert [each.subject for each in outgoing.outbox] == ["Hello"]


def test_what_an_earlier_version_issued_is_not_mailed_as_it_is_frozen() -> None:
    invoice = sandbox()
    Mail.objects.all().delete()
    with guards_off("billing_issueddocument", "billing_invoice"):
        IssuedDocument.objects.all().delete()
        Invoice.objects.update(content=None)

    numbering.catch_up(book_id=invoice.customer_id, now=FEBRUARY)

    assert IssuedDocument.objects.filter(subject=invoice.pk).exists()
    assert not earlier_documents.undocumented_invoices().exists()
    assert not Mail.objects.exists()


def test_it_is_sent_again_when_the_api_asks_once_per_key(api: APIClient) -> None:
    number = sandbox(mail_documents=False).number
    asked = {"idempotency_key": "again"}

    first, second = (api.post(f"/v1/invoices/{number}/send", asked) for _ in range(2))

    assert (first.status_code, first.json()) == (201, second.json())
    assert (first.json()["status"], first.json()["to"]) == ("KEPT", ANN)
    assert (first.json()["document"], first.json()["customer_id"]) == (number, "cust_1")
    listed = api.get("/v1/mails?customer_id=cust_1&status=KEPT").json()["data"]
    assert [each["id"] for each in listed] == [first.json()["id"]]
    assert api.get("/v1/mails?status=SENT").json()["data"] == []
    api.post(f"/v1/invoices/{number}/send", {"idempotency_key": "and again"})
    assert Mail.objects.count() == 2


def test_a_draft_or_a_customer_without_address_is_refused(api: APIClient) -> None:
    invoice = sandbox(email="")
    before = list(Mail.objects.values_list("pk", "status"))

    refused = api.post(f"/v1/invoices/{invoice.number}/send", {})
    unknown = api.post("/v1/invoices/TEST-9/send", {})

    assert (refused.status_code, refused.json()["code"]) == (409, "no_address")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_invoice")
    assert list(Mail.objects.values_list("pk", "status")) == before


def test_the_back_office_sends_again(admin_client: Client) -> None:
    invoice = sandbox()
    url = reverse("admin:billing_invoice_send", args=[invoice.pk])

    page = admin_client.get(url)
    done = admin_client.post(url, page.context["form"].initial, follow=True)
    listed = admin_client.post(
        reverse("admin:billing_issueddocument_changelist"),
        {"action": "send", "_selected_action": [str(IssuedDocument.objects.get().pk)]},
        follow=True,
    )

    assert "Send by e-mail is done." in done.text
    assert f"{invoice.number}: queued." in listed.text
    assert Mail.objects.count() == 3


def test_a_mail_without_an_address_waits_for_nothing_else() -> None:
    sandbox()

    with pytest.raises(IntegrityError, match="billing_mail_addressed"), transaction.atomic():
        Mail.objects.update(to="")
