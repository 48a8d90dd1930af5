"""Every invoice, in currencies without decimals, with two and with three: its lines and its payers
come to its total, and the journal is the document less what nobody paid for.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import Sum

from aforo.money import exponent
from billing.finance import verification
from billing.invoicing import tax_rates
from billing.lifecycle import plan_changes
from billing.models import CycleBurn, Invoice, IssuedDocument, Subscription
from ledger.models import Book, LedgerEvent, Posting
from pricing.models import Offering
from pricing.offerings import coupons
from tests import factories
from tests.factories import FEBRUARY, MARCH, START, advance
from tests.histories import examples

pytestmark = pytest.mark.django_db

RECEIVABLE, CREDITS = "1100", ("2100", "2110", "2130")
CURRENCIES = ["JPY", "KRW", "KWD", "EUR", "USD"]
APRIL = datetime(2026, 4, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("currency", CURRENCIES)
def test_lines_payers_and_journal_agree(currency: str, seed: int) -> None:
    chance = random.Random(f"{currency} {seed}")
    unit = Decimal(1).scaleb(-exponent(currency))
    factories.offering(plan__currency=currency, charges=[
        {"code": "use", "model": "PER_UNIT", "metric": "tokens",
         "terms": {"unit_price": str(chance.randint(1, 9999) * unit / 1000)}},
        {"code": "fee", "model": "FLAT_RATE",
         "terms": {"flat_fee": str(chance.randint(1, 99_999) * unit)}},
    ])  # fmt: skip
    tax_rates.create_tax_rate(
        livemode=False, name="VAT", country="DE", percent=Decimal(19), now=START
    )
    book = factories.clocked_customer(country="DE")
    factories.subscription("cust_1")
    factories.grant("cust_1", str(chance.randint(1, 500) * unit), "PROMO", currency=currency)
    paid, bonus = (str(chance.randint(1, 900) * unit) for _ in range(2))
    factories.bundle("cust_1", paid, bonus=bonus, currency=currency)
    advance(book, START + timedelta(days=1))
    factories.meter(chance.randint(200_000, 900_000), START + timedelta(days=1))
    advance(book, FEBRUARY)

    invoice, content = Invoice.objects.get(), said()
    total = invoice.total.amount
    assert total == total.quantize(unit)
    for name in ("lines", "payers"):
        assert sum(Decimal(each["amount"]) for each in content[name]) == total, name
    burns = CycleBurn.objects.aggregate(face=Sum("quantity"), paid=Sum("carrying"))
    assert invoice.amount_due > 0
    assert total == burns["face"] + invoice.amount_due
    given_away = burns["face"] - burns["paid"]
    assert journal() == total - given_away
    assert verification.verify().ok


@pytest.mark.parametrize("seed", range(examples(1)))
@pytest.mark.parametrize("currency", CURRENCIES)
def test_of_a_random_life_every_invoice_agrees(currency: str, seed: int) -> None:
    """Three months under two rates, with fees before and after, a minimum, a coupon, bundles,
    gifts, sales in real time and late usage. Each plan's prices may contain the tax; in half of
    the lives the plan changes after a month.
    """
    chance = random.Random(f"life {currency} {seed}")
    unit = Decimal(1).scaleb(-exponent(currency))

    def some(most: int) -> str:
        return str(chance.randint(1, most) * unit)

    book = subscribed(currency, some, chance)
    for month, start in enumerate((START, FEBRUARY, MARCH)):
        factories.meter(chance.randint(1, 900_000), start, f"in {month}")
        if month:
            factories.meter(chance.randint(1, 90_000), start - DAY, f"late {month}")
        if chance.random() < 0.7:
            factories.grant("cust_1", some(50_000), name=f"gift {month}", currency=currency)
        if chance.random() < 0.7:
            factories.bundle("cust_1", some(90_000), bonus=some(9_000), currency=currency)
        if month == 1 and chance.random() < 0.5:
            change()
        factories.debit("cust_1", some(5_000), name=f"debit {month}", currency=currency)
        advance(book, [FEBRUARY, MARCH, APRIL][month])

    invoices = Invoice.objects.order_by("starts_at", "created_at")
    assert len(invoices) == 4
    for invoice in invoices:
        check(invoice, unit)
    burns = CycleBurn.objects.aggregate(face=Sum("quantity"), paid=Sum("carrying"))
    face, paid = burns["face"] or Decimal(0), burns["paid"] or Decimal(0)
    assert sum(invoice.from_wallet for invoice in invoices) == face
    assert journal() == sum(invoice.total.amount for invoice in invoices) - (face - paid)
    assert verification.verify().ok


def subscribed(currency: str, some: Callable[[int], str], chance: random.Random) -> Book:
    for percent, valid_from in ((19, START), (21, FEBRUARY)):
        tax_rates.create_tax_rate(
            livemode=False, name=f"VAT{percent}", country="DE", percent=Decimal(percent), now=START,
            valid_from=valid_from,
        )  # fmt: skip
    coupons.create_coupon(
        livemode=False, code="OFF", type="PERCENT", value=Decimal("7.5"), duration="FOREVER"
    )
    mode = chance.choice(["HYBRID", "POSTPAID"])
    for code in ("tokens_monthly", "other"):
        fee: dict[str, Any] = {"model": "FLAT_RATE", "terms": {"flat_fee": some(9_999)}}
        factories.offering(
            code,
            billing_mode=mode,
            plan__currency=currency,
            charges=[
                {"code": "use", "model": "PER_UNIT", "metric": "tokens",
                 "terms": {"unit_price": str(Decimal(some(9_999)) / 1000)}},
                {"code": "arrears", **fee},
                {"code": "ahead", **fee, "timing": "ADVANCE"},
            ],
            spec={"tax_inclusive": chance.random() < 0.5, "minimum_spend": some(999_999)},
        )  # fmt: skip
    book = factories.clocked_customer(country="DE")
    factories.subscription("cust_1", coupon="OFF")
    return book


def check(invoice: Invoice, unit: Decimal) -> None:
    """Check that an invoice is whole units, and that its document and its entry come to it."""
    total = invoice.total.amount
    assert all(
        amount == amount.quantize(unit)
        for amount in (total, invoice.subtotal, invoice.discount, invoice.tax)
    )
    kept = IssuedDocument.objects.get(subject=invoice.pk)
    content = json.loads(kept.body)
    for name in ("lines", "payers"):
        assert sum(Decimal(each["amount"]) for each in content[name]) == total, name
    issued = Posting.objects.filter(entry__document__invoice=invoice.number, debit=RECEIVABLE)
    posted = issued.aggregate(s=Sum("amount"))["s"] or 0
    assert posted == invoice.amount_due


def change() -> None:
    """Change to the other plan with the end of the period."""
    other = Offering.objects.get(code="other")
    plan_changes.change_with_period(
        livemode=False,
        subscription_id=Subscription.objects.get().pk,
        target=plan_changes.target_of(livemode=False, offering=other),
    )


def said() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(IssuedDocument.objects.get().body)
    return content


def journal() -> Decimal:
    """Return what settlements and their invoices took from credits and from the customer."""
    events = [LedgerEvent.SETTLEMENT, LedgerEvent.INVOICE, LedgerEvent.USAGE_BURNED]
    lines = Posting.objects.filter(entry__event__in=events)
    taken = lines.filter(debit__in=[RECEIVABLE, *CREDITS]).aggregate(s=Sum("amount"))["s"]
    back = lines.filter(credit__in=[RECEIVABLE, *CREDITS]).aggregate(s=Sum("amount"))["s"]
    return Decimal(taken) - Decimal(back or 0)
