from decimal import Decimal
from uuid import UUID

import pytest

from billing.pipeline.draft import Overage, Tax
from billing.pipeline.tax import tax
from tests.billing.pipeline.drafts import draft

VAT = Tax("VAT", Decimal(19), "DE")


def test_tax_is_a_percentage_of_what_the_discount_leaves() -> None:
    taxed = tax(draft(tax_rate=VAT, subtotal=Decimal(120), discount=Decimal(20)))

    assert (taxed.tax, taxed.total) == (19, 119)


@pytest.mark.parametrize(
    ("mode", "owed"), [("HYBRID", "1.91"), ("POSTPAID", "1.91"), ("PREPAID", "1.9095")]
)
def test_tax_is_rounded_once_as_the_document_is(mode: str, owed: str) -> None:
    # 19 % of 10.05 is 1.9095.
    assert tax(draft(mode, tax_rate=VAT, subtotal=Decimal("10.05"))).tax == Decimal(owed)


@pytest.mark.parametrize("mode", ["HYBRID", "POSTPAID"])
def test_half_a_cent_of_tax_is_rounded_up_as_tax_offices_do(mode: str) -> None:
    """19 % of 787.50 is 149.625."""
    taxed = tax(draft(mode, tax_rate=VAT, subtotal=Decimal("787.50")))

    assert (taxed.tax, taxed.total) == (Decimal("149.63"), Decimal("937.13"))


def test_without_a_rate_there_is_no_tax() -> None:
    taxed = tax(draft(subtotal=Decimal(120)))

    assert (taxed.tax, taxed.total) == (0, 120)
    assert taxed.trace[0].notes == ("No tax rate applies.",)


def test_overage_of_wallet_debits_is_gross_already() -> None:
    overage = Overage(UUID(int=9), Decimal("1.50"))

    taxed = tax(draft(tax_rate=VAT, subtotal=Decimal(100), overages=(overage,)))

    assert (taxed.tax, taxed.total) == (19, Decimal("120.50"))


@pytest.mark.parametrize(
    ("rate", "note"),
    [
        (VAT, "VAT (DE): 19 % of 100."),
        (Tax("Sales tax", Decimal("8.875")), "Sales tax: 8.875 % of 100."),
    ],
)
def test_the_trace_names_the_rate(rate: Tax, note: str) -> None:
    taxed = tax(draft("PREPAID", tax_rate=rate, subtotal=Decimal(100)))

    assert taxed.trace[0].notes == (note,)
