"""How many statements a page takes: as many as before when there are more rows to show."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from rest_framework.test import APIClient

from aforo.adminui.admins import SHOWN_ROWS
from billing.adjustments import credit_notes
from billing.models import Invoice
from tests import factories
from tests.admin import company
from tests.admin.walking import addresses
from wallets.models import CreditLot, Movement

pytestmark = pytest.mark.django_db

# There can be one of it only, or the demo needs no second one.
FEW = {
    "WorkerHeartbeat", "InvoiceSeries", "IntervalSchedule", "PeriodicTask", "ExchangeRate",
    "GatewayRefund",
}  # fmt: skip
# Counted for the pages and for the total; or asked once a block of a page, not once a row.
REPEATED = re.compile(
    r'SELECT COUNT|FROM "(auth_permission|django_content_type|django_session|auth_user)"'
)

# The same statement so often whatever the number of rows: for two columns, filters or fieldsets.
CONSTANT = {
    "ledger_posting_changelist": 2,
    "ledger_posting_change": 2,
    "django_celery_beat_periodictask_change": 2,
    "pricing_metric_change": 4,
    "pricing_campaign_change": 5,
    "wallets_debit_change": 2,
    "wallets_reservation_change": 2,
    "wallets_autorefill_change": 2,
    "wallets_creditlot_change": 2,
    "billing_usagereservation_change": 3,
    "billing_onetimebenefit_change": 2,
    "billing_planchange_change": 3,
}


@pytest.fixture
def pages(admin_client: Client) -> Client:
    company.live()
    for number, invoice in enumerate(Invoice.objects.filter(status="OPEN")[:2]):
        credit_notes.credit(
            livemode=invoice.customer.book.livemode, invoice=str(invoice.pk), reason="asked",
            key=f"note-{number}", amount=Decimal("0.01"),
        )  # fmt: skip
    few = {model.__name__ for model in admin.site._registry if model._default_manager.count() < 2}
    assert few <= FEW, "there is more than one row to show of everything"
    return admin_client


def shapes(client: Client, url: str) -> Counter[str]:
    """Count the statements of a page that differ in nothing but their values."""
    with CaptureQueriesContext(connection) as captured:
        assert client.get(url).status_code == 200, url
    texts = (re.sub(r"'[^']*'|\b\d+\b", "?", each["sql"]) for each in captured.captured_queries)
    return Counter(re.sub(r"\(\?(, \?)+\)", "(?)", text) for text in texts)


def repeated(counted: Counter[str]) -> Iterator[tuple[str, int]]:
    for text, times in counted.items():
        if times > 1 and not REPEATED.search(text):
            yield text, times


def test_no_page_asks_once_a_row(pages: Client) -> None:
    """Of everything there are two rows and more: a statement a row would be asked twice."""
    found = {}
    for page in addresses():
        if (
            page.name.endswith(("_changelist", "_change"))
            and page.name != "auth_user_password_change"
        ):
            asked = shapes(pages, page.url)
            assert sum(asked.values()) <= 25, (page, asked)
            again = dict(repeated(asked))
            if max(again.values(), default=1) > CONSTANT.get(page.name, 1):
                found[page.url] = again
    assert not found, "\n".join(f"{url}: {again}" for url, again in found.items())


def test_a_lot_with_many_movements_shows_the_newest(admin_client: Client) -> None:
    factories.customer()
    factories.top_up("cust_1", "500")
    lot = CreditLot.objects.get()
    url = reverse("admin:wallets_creditlot_change", args=[lot.pk])
    few = sum(shapes(admin_client, url).values())
    for number in range(SHOWN_ROWS + 10):
        factories.debit("cust_1", "1", f"d{number}")
    assert Movement.objects.filter(lot=lot).count() == SHOWN_ROWS + 11

    page = admin_client.get(url).content.decode()

    assert sum(shapes(admin_client, url).values()) <= few
    assert f"the first {SHOWN_ROWS} of more" in page
    # 500 less 60 debits of 1; the oldest 11 movements, with balances from 490 on, are not shown.
    assert page.count("field-kind") == SHOWN_ROWS
    assert all(f">{balance}<" in page for balance in range(440, 490))
    assert not any(f">{balance}<" in page for balance in range(490, 500))


def test_the_api_lists_subscriptions_without_a_statement_a_row(
    pages: Client, api: APIClient
) -> None:
    with CaptureQueriesContext(connection) as captured:
        answer = api.get("/v1/subscriptions")

    listed = {each["customer_id"]: each for each in answer.json()["data"]}
    assert set(listed) == {"ann", "ben", "cora"}
    for each in (listed["ann"], listed["ben"]):
        assert each["wallets"] == [{"currency": "USD"}, {"metric": "tokens"}]
        # Three cycles began, of January, February and March, each with money and units.
        assert [lot["kind"] for lot in each["grants"]] == ["PROMO"] * 6
        assert api.get(f"/v1/subscriptions/{each['id']}").json() == each
    texts = [re.sub(r"'[^']*'|\b\d+\b", "?", each["sql"]) for each in captured.captured_queries]
    assert len(texts) == len(set(texts)) <= 6
