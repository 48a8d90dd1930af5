"""Lists of the API: a row says what the object alone says, and a page of fifty rows takes as many
statements as a page of one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.db.models import Model, QuerySet
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import resolve
from django.utils import timezone
from pytest_django import DjangoDbBlocker
from rest_framework.test import APIClient

from aforo import actors
from aforo.access import services as access
from aforo.api.rows import RowsView
from aforo.protocol.exact_json import to_json
from aforo.sandbox.models import TestClock
from aforo.sandbox.services import create_clock
from billing.campaigns import campaign_runs
from billing.invoicing import bank_payments, tax_exemptions, tax_rates
from billing.invoicing.payment_lines import PaymentLine
from billing.jobs import test_clocks
from billing.models import (
    BankPayment,
    CreditNote,
    Customer,
    Invoice,
    InvoiceCharge,
    Mail,
    Reminder,
    Settlement,
    Subscription,
    SubscriptionMove,
    TaxExemption,
    TaxRate,
    UnbilledUsage,
)
from billing.usage import ingest
from ledger.models import ApprovalRequest, Entry
from pricing.campaigns import campaign_terms, campaigns
from pricing.models import (
    Campaign,
    Coupon,
    CreditUnit,
    Metric,
    Offering,
    Pack,
    RatePlan,
    RatePlanVersion,
)
from pricing.offerings import coupons, credit_units, packs
from tests import factories, lived
from tests.factories import FEBRUARY, START
from wallets.grants import campaign_grants
from wallets.models import CampaignGrant, GatewayRefund, Movement, TopUp
from wallets.top_ups import refunds, sales

pytestmark = [pytest.mark.django_db, pytest.mark.xdist_group("lists")]

FIFTY = 50
GIVEN = {"recurrence": "EVERY_CYCLE", "kind": "PROMO", "code": "free", "metric": "tokens"}

# By the address of a list: all there is, in the order of the list.
# Of the subscription of c0, whose id stands in place of the nil one.
NIL = "00000000-0000-0000-0000-000000000000"
MOVES = f"subscriptions/{NIL}/moves"
LISTS: dict[str, Any] = {
    "approvals": ApprovalRequest.objects.order_by("-pk"),
    "campaigns": Campaign.objects.order_by("-pk"),
    "campaigns/code0/grants": CampaignGrant.objects.order_by("-pk"),
    "charges": InvoiceCharge.objects.order_by("-pk"),
    "credit-notes": CreditNote.objects.order_by("-pk"),
    "coupons": Coupon.objects.order_by("-pk"),
    "credit-units": CreditUnit.objects.order_by("-pk"),
    "customers/c0/tax-exemptions": TaxExemption.objects.order_by("-pk"),
    "customers/c0/reminders": Reminder.objects.order_by("-pk"),
    "customers": Customer.objects.order_by("-pk"),
    "invoices": Invoice.objects.order_by("-pk"),
    "ledger/entries": Entry.objects.order_by("-recorded_at", "-id"),
    "ledger/entries?customer_id=c0": Entry.objects.filter(book__key="c0").order_by("-sequence"),
    "mails": Mail.objects.order_by("-pk"),
    "metrics": Metric.objects.order_by("-pk"),
    "offerings": Offering.objects.order_by("-pk"),
    "packs": Pack.objects.order_by("-pk"),
    "payments": BankPayment.objects.order_by("-pk"),
    "rate-plans/plan_tokens_monthly/versions": RatePlanVersion.objects.order_by("-pk"),
    "rate-plans": RatePlan.objects.order_by("-pk"),
    "settlements": Settlement.objects.order_by("-pk"),
    "subscriptions": Subscription.objects.order_by("-pk"),
    MOVES: SubscriptionMove.objects.filter(subscription__customer__book__key="c0").order_by("-pk"),
    "tax-rates": TaxRate.objects.order_by("-pk"),
    "usage/unbilled": UnbilledUsage.objects.order_by("-pk"),
    "wallets/c0/movements": Movement.objects.filter(book__key="c0").order_by(
        "-entry__sequence", "-position"
    ),
    "wallets/refunds": GatewayRefund.objects.order_by("-pk"),
    "wallets/top-ups": TopUp.objects.order_by("-pk"),
}
# Those that a company has few of.
FEW = {
    "charges",
    "credit-notes",
    "approvals",
    "customers/c0/reminders",
    "customers/c0/tax-exemptions",
    "payments",
    MOVES,
    "wallets/refunds",
    "offerings",
    "rate-plans",
    "rate-plans/plan_tokens_monthly/versions",
    "metrics",
}


@actors.acting(actors.job("tests"))
def live() -> None:
    """Live through a month of fifty customers, in which each does a little of everything."""
    factories.metric("calls")
    coupons.create_coupon(
        livemode=False, code="tenth", type="PERCENT", value=Decimal("10.5"), duration="FOREVER"
    )
    factories.offering(grants=[GIVEN | {"quantity": Decimal(100), "expires_at_cycle_end": True}])
    clock = create_clock(livemode=False, now=START)
    for number in range(FIFTY):
        _catalogue(number)
    campaign_runs.activate(livemode=False, code="code0", now=START)
    for number in range(FIFTY):
        _customer(f"c{number}", clock, coupon="tenth" if number % 10 else None)
    for number in range(3):
        tax_exemptions.add_exemption(
            livemode=False, customer_id="c0", number=f"X-{number}", country="FR", now=START
        )
    for number in range(FIFTY):
        factories.debit("c0", "0.010000000001", f"small{number}")
    sent = [
        factories.event(f"c{number}", 1_000, f"{metric}{number}", START, metric)
        for number in range(FIFTY)
        for metric in ("tokens", "calls")
    ]
    stored = ingest.ingest(livemode=False, events=sent, received_at=timezone.now())
    assert stored.accepted == 2 * FIFTY, stored.errors
    while not test_clocks.advance(clock_id=clock.pk, livemode=False, to=FEBRUARY).done:
        pass
    for number in range(1, 4):
        _collected(number)


def _collected(number: int) -> None:
    line = PaymentLine("ES91", FEBRUARY.date(), Decimal(7), "USD", bank_reference=f"b{number}")
    bank_payments.take(livemode=False, line=line, now=FEBRUARY)
    refunds.refund(
        livemode=False, customer_id="c0", key=f"back{number}", amount=Decimal("0.01"),
        currency="USD", reason="asked",
    )  # fmt: skip
    InvoiceCharge.objects.create(
        invoice=Invoice.objects.filter(customer__book__key="c0")[0],
        attempt=number,
        amount=Decimal(number),
        currency="USD",
        method="test_declined",
        status="DECLINED",
        created_at=FEBRUARY,
        concluded_at=FEBRUARY,
    )
    invoice = Invoice.objects.filter(customer__book__key="c0")[0]
    of_money = number > 1
    ApprovalRequest.objects.create(
        livemode=False, book=invoice.customer.book if of_money else None, operation="x",
        action="WRITE_OFF" if of_money else "TAX_RATE", currency="USD" if of_money else "",
        amount=Decimal("7.50") if of_money else None, content={}, requested_at=FEBRUARY,
        expires_at=FEBRUARY,
    )  # fmt: skip
    CreditNote.objects.create(
        livemode=False,
        customer_id=invoice.customer_id,
        invoice=invoice,
        currency=invoice.currency,
        amount=Decimal("0.02"),
        tax=Decimal("0.01"),
        credited=Decimal("0.02"),
        returned=Decimal(0),
        lines=[{"description": "Asked", "amount": "0.01"}],
        reason="asked",
        created_at=FEBRUARY,
        entry=Entry.objects.filter(book=invoice.customer_id)[0],
    )
    Reminder.objects.create(
        invoice=invoice,
        day=number,
        action="REMIND",
        open=Decimal("0.5"),
        occurred_at=FEBRUARY,
    )


def _catalogue(number: int) -> None:
    tax_rates.create_tax_rate(
        livemode=False, now=START, valid_from=START + timedelta(days=number), name="VAT",
        country="DE", region="", percent=Decimal("19.50"),
    )  # fmt: skip
    coupons.create_coupon(
        livemode=False, code=f"off{number}", type="FIXED", value=Decimal("2.50"), currency="USD",
        duration="ONCE",
    )  # fmt: skip
    letters = f"{chr(65 + number // 26)}{chr(65 + number % 26)}"
    credit_units.create_credit_unit(
        livemode=False, code=f"UNIT{letters}", name=f"Unit {number}", rates={"USD": "0.010"}
    )
    packs.create_pack(
        livemode=False, code=f"pack{number}", name=f"Pack {number}", unit=f"UNIT{letters}",
        quantity=Decimal("1.50"), prices={"USD": "2.50"},
    )  # fmt: skip
    terms = campaign_terms.CampaignTerms(
        name=f"Campaign {number}", trigger="CODE", kind="PROMO", metric="tokens",
        quantity=Decimal("1.5"), starts_at=START, redemption_code=f"code{number}",
    )  # fmt: skip
    campaigns.create_campaign(livemode=False, code=f"code{number}", terms=terms)


def _customer(key: str, clock: TestClock, *, coupon: str | None) -> None:
    factories.customer(key, name=f"{key} Müller", country="DE", tags=["a", "b"], clock=clock)
    factories.subscription(key, coupon=coupon)
    factories.bundle(key, "0.5", bonus="0.25", expires_at=FEBRUARY)
    if coupon is None:
        units = sales.Bonus(metric="tokens", quantity=Decimal(3), ssp_unit_price=Decimal("0.002"))
        factories.top_up(key, "2", name="units", bonus=units)
    campaign_grants.redeem(livemode=False, key="redeemed", customer_id=key, code="code0")


@pytest.fixture(scope="module", autouse=True)
def a_month(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Live through the month once for all lists."""
    with override_settings(BACKDATED_CYCLES=1_000), lived.once(live, django_db_blocker):
        yield


def _of_c0(path: str) -> str:
    """Return a path with the id of c0's subscription where it needs one."""
    if NIL not in path:
        return path
    found = Subscription.objects.filter(customer__book__key="c0").values_list("pk", flat=True)[0]
    return path.replace(NIL, str(found))


def page(api: APIClient, path: str, size: int) -> list[dict[str, Any]]:
    path = _of_c0(path)
    answer = api.get(f"/v1/{path}{'&' if '?' in path else '?'}page_size={size}")
    assert answer.status_code == 200, answer.content
    rows: list[dict[str, Any]] = answer.json()["data"]
    return rows


@pytest.mark.parametrize("path", LISTS)
def test_a_row_is_what_the_serializer_of_its_object_writes(api: APIClient, path: str) -> None:
    view = resolve(f"/v1/{path.partition('?')[0]}").func.view_class  # type: ignore[attr-defined]
    objects: QuerySet[Model] = LISTS[path]

    rows = page(api, path, 500)

    assert issubclass(view, RowsView)
    assert rows == json.loads(to_json(view.serializer_class(objects, many=True).data))


@pytest.mark.parametrize("path", LISTS)
def test_fifty_rows_take_as_many_statements_as_one(
    api: APIClient, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "CACHE_SECONDS", 3_600)
    counts, is_short = {}, path in FEW
    path = _of_c0(path)
    page(api, path, 1)  # The key is known from here.
    for size in (1, FIFTY):
        with CaptureQueriesContext(connection) as captured:
            rows = page(api, path, size)
        counts[size] = len(captured)

    assert len(rows) == FIFTY or is_short
    assert counts[1] == counts[FIFTY] <= 4


@pytest.mark.parametrize("path", LISTS)
def test_pages_of_seven_are_the_page_of_all(api: APIClient, path: str) -> None:
    path = _of_c0(path)
    seen, following = list[dict[str, Any]](), f"/v1/{path}{'&' if '?' in path else '?'}page_size=7"
    while following:
        answer = api.get(following).json()
        seen, following = seen + answer["data"], answer["next"]

    assert seen == page(api, path, 500)


def test_no_list_that_is_read_as_columns_is_missing_here() -> None:
    walked = {resolve(f"/v1/{path.partition('?')[0]}").func.view_class for path in LISTS}  # type: ignore[attr-defined]

    assert walked == {view for view in _below(RowsView) if not view.__subclasses__()}


def _below(view: type[Any]) -> set[type[Any]]:
    return {view}.union(*(_below(each) for each in view.__subclasses__()))
