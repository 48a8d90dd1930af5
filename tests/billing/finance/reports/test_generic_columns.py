"""The generic file beside its amounts: product, tax, currency, and what reverses what."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.conf import LazySettings

from billing.invoicing.tax_rates import create_tax_rate
from ledger.exports import batches
from ledger.models import Entry
from tests import factories
from tests.billing.finance.reports.conftest import rows
from tests.billing.finance.reports.test_exports import content, export, lines
from tests.factories import FEBRUARY, START, advance
from wallets.debits import reversals

pytestmark = pytest.mark.django_db
FEE = {"code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": "31"}, "timing": "ADVANCE"}


def reverse(answer: dict[str, Any], amount: str) -> None:
    reversals.reverse(
        livemode=False,
        debit_id=UUID(str(answer["id"])),
        key=f"back-{amount}",
        amount=Decimal(amount),
        reason="A mistake",
    )


def test_product_and_tax_of_a_settled_cycle() -> None:
    """10,000 x .002 = 20.00 and a fee of 31.00, taxed at 20 %: 4.00 of tax, and 6.20 before."""
    create_tax_rate(livemode=False, name="IVA", country="ES", percent=Decimal(20), now=START)
    factories.offering(charges=[FEE, *factories.TOKENS_AT_2_MILLS])
    book = factories.clocked_customer()
    book.customer.country = "ES"
    book.customer.save(update_fields=["country"])
    factories.subscription("cust_1")
    factories.meter(10_000, START, "e1")
    advance(book, FEBRUARY)

    found = rows("journal-detail") + rows("journal-detail", "2026-02")

    assert {row["event_type"] for row in found} == {"SETTLEMENT", "INVOICE", "FEE_RECOGNISED"}
    assert {row["product"] for row in found} == {"plan_tokens_monthly"}
    taxed = [row for row in found if row["tax_code"]]
    assert [row["credit"] for row in taxed if row["account_code"] == "2300"] == [
        Decimal(text) for text in ("6.2", "10.2")
    ]
    assert {(row["tax_code"], row["jurisdiction"], row["event_type"]) for row in taxed} == {
        ("IVA", "ES", "INVOICE")
    }
    assert all(not row["jurisdiction"] for row in found if row not in taxed)


def test_units_are_of_their_metric() -> None:
    """A fee of 100 sells 100 of cash and 20,000 tokens at .002: 71.43 and 28.57."""
    fee = {**FEE, "terms": {"flat_fee": "100"}}
    grants = [
        {"code": "cash", "kind": "CASH", "amount": "100", "recurrence": "EVERY_CYCLE"},
        {"code": "units", "kind": "BONUS", "metric": "tokens", "quantity": "20000",
         "recurrence": "EVERY_CYCLE", "ssp_unit_price": "0.002"},
    ]  # fmt: skip
    factories.offering(charges=[fee], grants=grants)
    factories.clocked_customer()
    factories.subscription("cust_1")

    granted = [row for row in rows("journal-detail") if row["event_type"] == "GRANT"]

    assert [(row["account_code"], row["product"]) for row in granted if row["credit"]] == [
        ("2100", "plan_tokens_monthly"), ("2110", "tokens"),
    ]  # fmt: skip


def test_a_reversal_and_what_it_reverses_name_each_other() -> None:
    """30 are debited, 10 and then 5 of them taken back in January, 2 in February."""
    book = factories.clocked_customer()
    factories.top_up("cust_1", "100")
    debited = factories.body(factories.debit("cust_1", "30"))
    reverse(debited, "10")
    first = export("GENERIC")
    written = content(first)
    reverse(debited, "5")
    advance(book, FEBRUARY)
    reverse(debited, "2")

    second, third = export("GENERIC"), export("GENERIC", 2)

    ten, five, two = map(
        str,
        Entry.objects.filter(event="REVERSAL").order_by("sequence").values_list("pk", flat=True),
    )
    links = [
        {
            (line["event_type"], line["reverses_journal_id"], line["reversed_by"])
            for line in lines(b)
        }
        for b in (first, second, third)
    ]
    assert links == [
        {("TOP_UP", "", ""), ("DEBIT", "", ten), ("REVERSAL", debited["entry"], "")},
        {("REVERSAL", debited["entry"], "")},
        {("REVERSAL", debited["entry"], "")},
    ]
    assert content(first) == written
    debit = [row for row in rows("journal-detail") if row["event_type"] == "DEBIT"]
    assert {row["reversed_by"] for row in debit} == {f"{ten} {five}"}
    assert batches.sidecar(first)["sha256"] == first.sha256
    assert two not in {row["reversed_by"] for row in rows("journal-detail")}


@pytest.mark.parametrize(
    ("own", "expected"), [("USD", ("1", "USD", "100.00")), ("EUR", ("", "", ""))]
)
def test_amounts_in_the_entitys_currency_are_functional_ones(
    own: str, expected: tuple[str, str, str], settings: LazySettings
) -> None:
    settings.ENTITY_CURRENCY = own
    factories.clocked_customer()
    factories.top_up("cust_1", "100")

    debit, credit = lines(export("GENERIC"))

    names = ("fx_rate", "functional_currency", "debit_functional")
    assert tuple(debit[name] for name in names) == expected
    assert (credit["debit_functional"], credit["credit_functional"]) == ("", expected[2])
