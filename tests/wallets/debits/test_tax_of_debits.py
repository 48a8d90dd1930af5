"""Direct debits are sales with the tax inside, at the customer's rate of the moment, as far as was
paid for the credits (docs/decisions.md#d44).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from billing.customers import customers
from billing.finance import verification
from billing.invoicing.tax_provider import tax_rate_of
from billing.invoicing.tax_rates import create_tax_rate
from billing.models import Customer
from ledger.models import Book, Posting
from tests import factories
from tests.factories import START
from wallets.debits import engine, reversals
from wallets.debits.combiner import execute_list
from wallets.models import UnitWallet, Wallet
from wallets.top_ups import sales

pytestmark = pytest.mark.django_db

D = Decimal
DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)
CENT = D("0.01")


def rate(percent: str = "20", *, valid_from: datetime = START, **terms: str | bool) -> None:
    terms = {"country": "EE", "name": f"VAT{percent}", **terms}
    create_tax_rate(
        livemode=False,
        percent=D(percent),
        now=START,
        valid_from=valid_from,
        **terms,  # type: ignore[arg-type]
    )


def taxed(**personal: str) -> Book:
    """Register a customer on a clock in the country of the rate."""
    terms: dict[str, Any] = {"country": "EE", **personal}
    return factories.clocked_customer(**terms)


def lines(*events: str) -> dict[tuple[str, str], Decimal]:
    """Sum the postings of events by their pair of accounts, in cents."""
    found: dict[tuple[str, str], Decimal] = {}
    for line in Posting.objects.filter(entry__event__in=events):
        pair = (line.debit_id, line.credit_id)
        found[pair] = found.get(pair, D(0)) + line.amount
    return {pair: amount.quantize(CENT) for pair, amount in found.items()}


def debit(amount: str, name: str = "") -> UUID:
    return UUID(factories.body(factories.debit("cust_1", amount, name))["id"])


def test_a_debit_of_48_at_20_percent_is_40_and_8() -> None:
    rate()
    taxed()
    factories.top_up("cust_1", "120")

    debit("48")

    assert lines("DEBIT") == {("2100", "4000"): 40, ("2100", "2300"): 8}
    assert verification.verify().ok


def test_a_bundle_owes_the_tax_of_what_was_paid_over_its_life() -> None:
    """100 + 20 for 100.00 owe 16.67, bonus and cash by what each holds."""
    rate()
    taxed()
    factories.bundle("cust_1", "100", bonus="20")

    for amount in ("30", "50", "40"):
        debit(amount)

    assert lines("DEBIT") == {
        ("2110", "4010"): D("13.89"),
        ("2110", "2300"): D("2.78"),
        ("2100", "4000"): D("69.44"),
        ("2100", "2300"): D("13.89"),
    }


def test_promo_owes_none() -> None:
    rate()
    taxed()
    factories.grant("cust_1", "50")

    debit("48")

    assert lines("DEBIT") == {}


def test_units_owe_the_tax_of_what_they_hold() -> None:
    """100 cash and 20,000 tokens at .002 for 100.00: the tokens hold 28.57, 4.76 of it tax."""
    rate()
    factories.metric()
    taxed()
    bonus = sales.Bonus(quantity=D(20_000), metric="tokens", ssp_unit_price=D("0.002"))
    factories.top_up("cust_1", "100", bonus=bonus)

    (answer,) = execute_list(
        [engine.DebitRequest(customer_id="cust_1", key="units", metric="tokens",
                             quantity=D(20_000))],
        livemode=False,
    )  # fmt: skip

    factories.body(answer)
    assert lines("DEBIT") == {("2110", "4010"): D("23.81"), ("2110", "2300"): D("4.76")}


def test_a_capture_is_a_sale_too() -> None:
    rate()
    taxed()
    factories.top_up("cust_1", "120")
    hold = engine.ReserveRequest(customer_id="cust_1", key="hold", amount=D(48))
    (answer,) = execute_list([hold], livemode=False)
    held = UUID(factories.body(answer)["id"])

    take = engine.CaptureRequest(reservation=held, key="take", amount=D(48))
    execute_list([take], livemode=False)

    assert lines("CAPTURE") == {("2100", "4000"): 40, ("2100", "2300"): 8}


def test_what_a_capture_left_as_debt_is_paid_with_the_tax_of_its_moment() -> None:
    """30 of 48 are there: 25 and 5; the next credits pay 18: 15 and 3, at the rate of then."""
    rate()
    book = taxed()
    factories.top_up("cust_1", "30")
    Wallet.objects.filter(book=book).update(debt_limit=D(20), own_debt_limit=D(20))
    hold = engine.ReserveRequest(
        customer_id="cust_1", key="hold", amount=D(30), over_capture="DEBT"
    )
    (answer,) = execute_list([hold], livemode=False)
    held = UUID(factories.body(answer)["id"])
    execute_list(
        [engine.CaptureRequest(reservation=held, key="take", amount=D(48))], livemode=False
    )
    rate("50", valid_from=START + DAY)
    factories.set_clock(book, START + 2 * DAY)

    factories.top_up("cust_1", "100")

    assert lines("CAPTURE") == {("2100", "4000"): 25, ("2100", "2300"): 5}
    assert lines("SETTLEMENT") == {("2100", "4000"): 15, ("2100", "2300"): 3}


def test_a_reversal_returns_the_tax_whatever_the_rate_is_by_then() -> None:
    rate()
    book = taxed()
    factories.top_up("cust_1", "120")
    made = debit("48")
    rate("25", valid_from=START + DAY)
    factories.set_clock(book, START + 2 * DAY)

    for amount in ("7", "41"):
        reversals.reverse(
            livemode=False, debit_id=made, key=amount, reason="test", amount=D(amount)
        )

    assert lines("REVERSAL") == {("4000", "2100"): 40, ("2300", "2100"): 8}
    assert factories.posted("2300") == 0
    assert factories.posted("4000") == 0


@pytest.mark.parametrize(
    ("_case", "personal", "terms"),
    [
        ("no country", {"country": ""}, {}),
        ("no rate there", {"country": "LV"}, {}),
        ("reverse charge", {"tax_id": "EE100931558"}, {"reverse_charge": True}),
    ],
)
def test_without_a_rate_all_is_revenue(
    _case: str, personal: dict[str, str], terms: dict[str, bool]
) -> None:
    rate(**terms)  # type: ignore[arg-type]
    taxed(**personal)
    factories.top_up("cust_1", "120")

    debit("48")

    assert lines("DEBIT") == {("2100", "4000"): 48}


@pytest.mark.parametrize(("at", "tax"), [(START + DAY - MOMENT, 8), (START + DAY, 12)])
def test_a_rate_counts_from_its_instant_on(at: datetime, tax: int) -> None:
    """At 20 % 48 hold 8; at 33.333333 % they hold 12.00."""
    rate()
    rate("33.333333", valid_from=START + DAY)
    book = taxed()
    factories.top_up("cust_1", "120")
    factories.set_clock(book, at)

    debit("48")

    assert lines("DEBIT")["2100", "2300"] == tax


class TestWallets:
    """Wallets have the rates that their customer's documents are taxed by."""

    @staticmethod
    def percents() -> list[str]:
        book = Customer.objects.get().book
        rows = [*Wallet.objects.filter(book=book), *UnitWallet.objects.filter(book=book)]
        shown = [[each["percent"] for each in row.tax_rates] for row in rows]
        assert all(each == shown[0] for each in shown)
        return shown[0]

    def test_they_follow_the_customer_and_the_rates(self) -> None:
        taxed()
        factories.metric()
        factories.top_up("cust_1", "10")
        factories.grant_units("cust_1", "5")
        assert self.percents() == []

        rate()
        assert self.percents() == ["20"]
        rate("22", valid_from=START + DAY)
        assert self.percents() == ["20", "22"]
        rate("5", valid_from=START + 2 * DAY, region="HARJU")
        assert self.percents() == ["20", "22"]

        customers.update_customer(livemode=False, customer_id="cust_1", changes={"region": "HARJU"})
        assert self.percents() == ["20", "22", "5"]
        customers.update_customer(livemode=False, customer_id="cust_1", changes={"country": ""})
        assert self.percents() == []

    def test_a_region_goes_before_its_country_from_its_first_rate_on(self) -> None:
        rate("10", valid_from=START)
        rate("12", valid_from=START + 3 * DAY)
        rate("5", valid_from=START + DAY, region="HARJU")
        taxed(region="HARJU")

        customer = Customer.objects.get()
        found = [tax_rate_of(customer, START + day * DAY) for day in (-1, 0, 1, 4)]

        assert [each and (each.percent, each.jurisdiction) for each in found] == [
            None,
            (10, "EE"),
            (5, "EE-HARJU"),
            (5, "EE-HARJU"),
        ]
