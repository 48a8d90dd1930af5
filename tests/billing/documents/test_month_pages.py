"""A customer's month on paper: from opening to closing, for people."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from billing.customers import customers
from billing.invoicing import document_files, month_pages
from billing.models import Invoice, Settlement
from ledger.models import Book
from tests import factories
from tests.factories import FEBRUARY, MARCH, START, advance, meter

pytestmark = pytest.mark.django_db

FEE = {"code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": "100"}}
PATH = "/v1/statements.{form}?customer_id=cust_1&period={period}"


@pytest.fixture
def book() -> Book:
    """In January 10 promo and 20 cash come; 6,000 tokens at .002 are 12.00, so 10 promo and 2 cash
    burn, after 500 units that were granted. In February 5 promo come, which lapse unused.
    """
    made = factories.subscribed()
    factories.grant("cust_1", "10", "PROMO", name="january")
    factories.top_up("cust_1", "20")
    factories.grant_units("cust_1", "500", expires_at=FEBRUARY + timedelta(days=3))
    customers.update_customer(
        livemode=False,
        customer_id="cust_1",
        changes={"name": "<b>Bob</b>", "address": "1 Main St\nTown", "country": "ES"},
    )
    advance(made, START + timedelta(days=5))
    meter(6_500, START + timedelta(days=5))
    advance(made, FEBRUARY + timedelta(days=1))
    factories.grant(
        "cust_1", "5", "PROMO", name="february", expires_at=FEBRUARY + timedelta(days=10)
    )
    advance(made, MARCH)
    return made


def page(api: APIClient, period: str) -> str:
    answer = api.get(PATH.format(form="html", period=period))
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert answer["Content-Security-Policy"] == "default-src 'none'; style-src 'unsafe-inline'"
    text: str = answer.content.decode()
    return text


def rows(text: str) -> list[list[str]]:
    """Return the cells of the page's tables of movements and sums, row by row."""
    found = re.findall(r"<tr[^>]*>(.*?)</tr>", text.partition("</section>")[2], re.DOTALL)
    cells = (re.findall(r"<td>(.*?)</td>", row, re.DOTALL) for row in found)
    return [[re.sub(r"<[^>]+>", "|", cell).strip("|") for cell in row] for row in cells if row]


def test_january_from_opening_to_closing(api: APIClient, book: Book) -> None:
    text = page(api, "2026-01")

    assert "&lt;b&gt;Bob&lt;/b&gt;" in text
    assert "1 Main St\nTown" in text
    assert "1 January 2026 \N{EN DASH} 31 January 2026" in text
    minus = "\N{MINUS SIGN}"
    assert rows(text) == [
        ["Opening", "", "", "0.00"],
        ["Credits granted|Promotional credits: granted credits", "1 January 2026",
         "10.00", "10.00"],
        ["Credits bought|Prepaid credits: purchased credits", "1 January 2026", "20.00", "30.00"],
        ["Cycle settled|Promotional credits: granted credits", "1 February 2026",
         f"{minus}10.00", "20.00"],
        ["Cycle settled|Prepaid credits: purchased credits", "1 February 2026",
         f"{minus}2.00", "18.00"],
        ["Opening", "0.00"],
        ["Granted and bought", "30.00"],
        ["Used", f"{minus}12.00"],
        ["Closing", "USD 18.00"],
        ["Opening", "", "", "0"],
        ["Credits granted|Promotional credits: granted credits", "1 January 2026", "500", "500"],
        ["Cycle settled|Promotional credits: granted credits", "1 February 2026",
         f"{minus}500", "0"],
        ["Opening", "0"],
        ["Granted and bought", "500"],
        ["Used", f"{minus}500"],
        ["Closing", "tokens 0"],
    ]  # fmt: skip


def test_february_goes_on_and_shows_what_lapsed(api: APIClient, book: Book) -> None:
    found = rows(page(api, "2026-02"))

    assert found[0] == ["Opening", "", "", "18.00"]
    assert ["Lapsed", "\N{MINUS SIGN}5.00"] in found
    assert ["Closing", "USD 18.00"] in found


def test_a_month_without_credits_says_so(api: APIClient, book: Book) -> None:
    assert "There were no credits in this month." in page(api, "2025-12")


def test_the_pdf_is_that_page_printed(
    api: APIClient, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_files, "printed", lambda text: b"%PDF" + text.encode())

    answer = api.get(PATH.format(form="pdf", period="2026-01"))

    assert answer["Content-Type"] == "application/pdf"
    assert answer["Content-Disposition"] == 'inline; filename="statement-cust_1-2026-01.pdf"'
    assert answer.content == b"%PDF" + page(api, "2026-01").encode()


def test_what_cannot_be_shown_is_refused(
    api: APIClient, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(month_pages, "MOST", 5)

    for query, status, code in (
        ("customer_id=nobody&period=2026-01", 404, "unknown_customer"),
        ("customer_id=cust_1&period=2026-13", 422, "invalid"),
        ("customer_id=cust_1&period=2026-01", 422, "too_many"),
    ):
        answer = api.get(f"/v1/statements.html?{query}")
        assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_the_customers_page_links_to_it(admin_client: Client, api: APIClient, book: Book) -> None:
    listed = admin_client.get(reverse("admin:billing_customer_change", args=[book.pk])).text
    address = reverse("month_file", args=[book.pk, "2026-01", "html"])

    assert address in listed
    assert reverse("month_file", args=[book.pk, "2026-03", "pdf"]) in listed
    assert admin_client.get(address).content.decode() == page(api, "2026-01")


def test_who_may_not_see_movements_may_not_see_it(client: Client, book: Book) -> None:
    client.force_login(User.objects.create_user("seller", is_staff=True))

    assert client.get(reverse("month_file", args=[book.pk, "2026-01", "html"])).status_code == 403


def test_a_settled_cycle_shows_its_statement_or_its_invoice(api: APIClient, book: Book) -> None:
    factories.offering(code="pre", billing_mode="PREPAID", charges=[FEE])
    other = factories.clocked_customer("cust_2")
    factories.top_up("cust_2", "500")
    factories.subscription("cust_2", "pre")
    advance(other, FEBRUARY)
    januaries = Settlement.objects.filter(starts_at=START).order_by("book")
    assert len(januaries) == 2
    for found in januaries:
        number = found.statement_number or Invoice.objects.filter(settlement=found)[0].number

        answer = api.get(f"/v1/settlements/{found.pk}.html")

        assert answer.status_code == 200, answer.content
        assert str(number) in answer.content.decode()


def test_a_settled_cycle_without_charge_has_none(api: APIClient) -> None:
    advance(factories.subscribed(), FEBRUARY)
    found = Settlement.objects.get()

    answer = api.get(f"/v1/settlements/{found.pk}.html")

    assert (answer.status_code, answer.json()["code"]) == (404, "no_document")
