"""What cycles owe of tax follows what was paid for the credits that pay them
(docs/decisions.md#d44); every entry by hand, at 20 %.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from billing.finance import verification
from billing.invoicing.tax_rates import create_tax_rate
from billing.lifecycle import changes
from billing.models import Invoice, Settlement, Subscription
from ledger.models import Book, Posting
from tests import factories
from tests.factories import FEBRUARY, START, advance, meter
from wallets.top_ups import sales

pytestmark = pytest.mark.django_db

D = Decimal
CENT = D("0.01")
USAGE = {"code": "calls", "model": "PER_UNIT", "metric": "tokens", "terms": {"unit_price": "1"}}
FEE = {"code": "fee", "model": "FLAT_RATE", "timing": "ADVANCE", "terms": {"flat_fee": "100"}}


def subscribed(mode: str, *charges: dict[str, Any], **plan: Any) -> Book:
    create_tax_rate(livemode=False, name="VAT", country="EE", percent=D(20), now=START)
    return factories.subscribed(mode, charges=charges or (USAGE,), country="EE", **plan)


def lines(*events: str, until: datetime = FEBRUARY) -> dict[tuple[str, str], Decimal]:
    """Sum the postings of events by their pair of accounts, in cents."""
    found: dict[tuple[str, str], Decimal] = {}
    for line in Posting.objects.filter(entry__event__in=events, entry__occurred_at__lte=until):
        pair = (line.debit_id, line.credit_id)
        found[pair] = found.get(pair, D(0)) + line.amount
    return {pair: amount.quantize(CENT) for pair, amount in found.items()}


def totals() -> dict[str, Any]:
    found: dict[str, Any] = Settlement.objects.get(cycle=0, kind="CYCLE").totals
    return found


def shown(invoice: Invoice) -> list[tuple[str, Decimal]]:
    return [(line.kind, line.amount) for line in invoice.lines.order_by("position")]


@pytest.mark.parametrize("mode", ["PREPAID", "HYBRID"])
def test_a_bundle_pays_120_and_owes_the_tax_of_100(mode: str) -> None:
    book = subscribed(mode)
    factories.bundle(book.key, "100", bonus="20")
    meter(100, START)

    advance(book, FEBRUARY)

    posted = lines("SETTLEMENT", "USAGE_BURNED")
    rounded = posted.pop(("7900", "2300"), D(0))
    assert posted == {
        ("2110", "4010"): D("13.89"),
        ("2110", "2300"): D("2.78"),
        ("2100", "4000"): D("69.44"),
        ("2100", "2300"): D("13.89"),
    }
    assert rounded <= CENT
    # Exactly what the document says, to the last place of a rounded one.
    assert abs(factories.posted("2300") + D(totals()["tax"])) < D("1e-9")
    assert abs(D(totals()["tax"]) - D("16.67")) < CENT
    assert abs(D(totals()["bonus"]) - D("3.33")) < CENT
    assert D(totals()["tax"]) + D(totals()["bonus"]) == 20
    assert abs(D(totals()["taxes"][0]["net"]) - D("83.33")) < CENT
    assert verification.verify().ok


def test_a_document_of_a_bundle_states_base_tax_and_bonus() -> None:
    book = subscribed("HYBRID")
    factories.bundle(book.key, "100", bonus="20")
    meter(100, START)

    advance(book, FEBRUARY)

    invoice = Invoice.objects.get()
    assert shown(invoice) == [("USAGE", 100), ("TAX", D("16.67")), ("BONUS", D("3.33"))]
    assert totals()["taxes"] == [
        {"name": "VAT", "jurisdiction": "EE", "percent": "20", "net": "83.33", "tax": "16.67"}
    ]


def test_what_a_fee_sold_is_not_taxed_again() -> None:
    """Fee 100 + 20 for 100 credits, 50 used: 50 burn, 2100 / 4000 50; the tax stays 20."""
    grant = {"code": "g", "kind": "CASH", "amount": "100", "recurrence": "ONCE"}
    book = subscribed("HYBRID", FEE, USAGE, grants=[grant])
    contract = Subscription.objects.get()
    changes.cancel(livemode=False, subscription_id=contract.pk, at="PERIOD_END")
    meter(50, START)

    advance(book, FEBRUARY)

    assert totals()["from_wallet"]["CASH"] == "50"
    assert lines("USAGE_BURNED", "SETTLEMENT")["2100", "4000"] == 50
    first = Invoice.objects.get(settlement__kind="OPENING")
    assert (first.total.amount, first.tax) == (120, 20)
    assert factories.posted("2300") == -20
    assert verification.verify().ok


def test_unit_lots_owe_the_tax_of_what_they_hold_beside_the_total() -> None:
    """100 cash and 20,000 tokens at .002 for 100.00: the tokens hold 28.57, 4.76 of it tax."""
    book = subscribed("HYBRID")
    bonus = sales.Bonus(quantity=D(20_000), metric="tokens", ssp_unit_price=D("0.002"))
    factories.top_up(book.key, "100", bonus=bonus)
    meter(20_000, START)

    advance(book, FEBRUARY)

    assert lines("SETTLEMENT", "USAGE_BURNED") == {
        ("2110", "4010"): D("23.81"),
        ("2110", "2300"): D("4.76"),
    }
    assert (totals()["total"], D(totals()["tax_in_units"]).quantize(CENT)) == ("0", D("4.76"))


def test_promo_and_cash_pay_a_part_and_the_invoice_the_rest() -> None:
    """90 net: promo 30 untaxed, cash 30 (25 and 5), invoice 42 (35 and 7); total 102."""
    book = subscribed("HYBRID", money="30")
    factories.grant(book.key, "30")
    meter(90, START)

    advance(book, FEBRUARY)

    invoice = Invoice.objects.get()
    assert (invoice.total.amount, invoice.tax) == (102, 12)
    assert (invoice.amount_due, invoice.due_tax) == (42, 7)
    assert lines("SETTLEMENT", "USAGE_BURNED", "INVOICE") == {
        ("2100", "4000"): 25,
        ("2100", "2300"): 5,
        ("1200", "4020"): 35,
        ("1100", "1200"): 35,
        ("1100", "2300"): 7,
    }


def test_overage_is_invoiced_net_with_its_tax_beside_it() -> None:
    """48 ran up at 20 %, then 12 at 33.333333 %: 40 + 8 and 9 + 3."""
    book = subscribed("HYBRID")
    factories.debit(book.key, "48")
    create_tax_rate(
        livemode=False,
        name="NEW",
        country="EE",
        percent=D("33.333333"),
        now=START,
        valid_from=START + (FEBRUARY - START) / 2,
    )
    advance(book, START + (FEBRUARY - START) / 2)
    factories.debit(book.key, "12")

    advance(book, FEBRUARY)

    invoice = Invoice.objects.get()
    assert shown(invoice) == [
        ("TAX", 8),
        ("TAX", 3),
        ("OVERAGE", 40),
        ("OVERAGE", 9),
    ]
    assert (invoice.amount_due, invoice.due_tax, totals()["overage"]) == (60, 11, "49")
    assert lines("SETTLEMENT", "INVOICE") == {
        ("1200", "4020"): 49,
        ("1100", "1200"): 49,
        ("1100", "2300"): 11,
    }
    assert verification.verify().ok


def test_a_months_end_accrues_overage_net() -> None:
    """48 on 1 January in a cycle that goes on: 1200 / 4020 40 on the 31st, back on the 1st."""
    book = subscribed("HYBRID", interval="MONTH", interval_count=3)
    factories.debit(book.key, "48")

    advance(book, FEBRUARY)

    assert lines("USAGE_ACCRUED") == {("1200", "4020"): 40, ("4020", "1200"): 40}
