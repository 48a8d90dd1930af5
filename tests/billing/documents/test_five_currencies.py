"""Every invoice, in currencies without decimals, with two and with three: its lines and its payers
come to its total, and the journal is the document less what nobody paid for.
"""

from __future__ import annotations

import json
import random
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import Sum

from aforo.money import exponent
from billing.finance import verification
from billing.invoicing import tax_rates
from billing.models import CycleBurn, Invoice, IssuedDocument
from ledger.models import LedgerEvent, Posting
from tests import factories
from tests.factories import FEBRUARY, START, advance

pytestmark = pytest.mark.django_db

RECEIVABLE, CREDITS = "1100", ("2100", "2110", "2130")


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("currency", ["JPY", "KRW", "KWD", "EUR", "USD"])
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


def said() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(IssuedDocument.objects.get().body)
    return content


def journal() -> Decimal:
    """Return what the settlement and its invoice took from credits and from the customer."""
    events = [LedgerEvent.SETTLEMENT, LedgerEvent.INVOICE]
    lines = Posting.objects.filter(entry__event__in=events)
    taken = lines.filter(debit__in=[RECEIVABLE, *CREDITS]).aggregate(s=Sum("amount"))["s"]
    return Decimal(taken)
