"""Tax at sale (docs/decisions.md#d44): 100 charges 120, burns net and owes no tax again, and what
is paid back takes its tax along.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from rest_framework.test import APIClient

from billing.finance import verification
from billing.finance.closing import tie_outs
from billing.models import Claim, Invoice, IssuedDocument, Settlement
from ledger.models import Book, Posting
from pricing.catalogue import TopUpTerms
from pricing.offerings import top_up_rules
from tests import factories
from tests.billing.finance.reports.conftest import rows
from tests.billing.invoicing.taxing import fee, quebec, rate
from tests.factories import FEBRUARY, START, advance
from tests.wallets.top_ups.disputes import buy, move, posted, refund
from wallets.models import CreditLot, GatewayRefund, TopUp
from wallets.top_ups import refill

pytestmark = pytest.mark.django_db
D = Decimal
MOMENT = timedelta(microseconds=1)


def terms(currency: str = "USD", *, livemode: bool = False, **said: Any) -> None:
    top_up_rules.set_top_up_terms(
        livemode=livemode, currency=currency, terms=TopUpTerms(**{"tax_at_sale": True, **said})
    )


@pytest.fixture
def book() -> Book:
    """A customer where tax is 20 %, and credits are taxed at sale."""
    rate("VAT", "20", "EE")
    terms()
    return factories.clocked_customer(country="EE")


@pytest.fixture(autouse=True)
def books_tie(db: None) -> Iterator[None]:
    """Check after each test that every account stands for its rows."""
    yield
    ties = tie_outs.of_day(livemode=False, until=date(2099, 12, 31))
    assert [tie for tie in ties if not tie.holds] == []


def lines(*events: str) -> dict[tuple[str, str], Decimal]:
    found: dict[tuple[str, str], Decimal] = {}
    for line in Posting.objects.filter(entry__event__in=events):
        pair = (line.debit_id, line.credit_id)
        found[pair] = found.get(pair, D(0)) + line.amount
    return found


def balance(account: str) -> Decimal:
    posted = lines(*Posting.objects.values_list("entry__event", flat=True).distinct())
    signs = {0: 1, 1: -1}
    return sum(
        (signs[pair.index(account)] * amount for pair, amount in posted.items() if account in pair),
        D(0),
    )


def tax_report(period: str = "2026-01") -> list[tuple[Any, ...]]:
    names = ("tax_code", "base", "charged", "taken_back")
    return [tuple(row[name] for name in names) for row in rows("tax", period)]


class TestSale:
    def test_100_charges_120_and_burns_net(self, api: APIClient, book: Book) -> None:
        made = api.get(f"/v1/wallets/top-ups/{buy(api, bonus=None)}").json()
        factories.debit("cust_1", "40")

        assert (made["amount"], made["tax"], made["taxed_at_sale"]) == ("100", "20", True)
        assert lines("TOP_UP") == {("1010", "2100"): 100, ("1010", "2300"): 20}
        assert lines("DEBIT") == {("2100", "4000"): 40}
        assert CreditLot.objects.get().taxed_at_sale
        assert tax_report() == [("VAT", 100, 20, 0)]
        assert verification.verify().ok

    def test_the_answer_says_what_is_paid(self, api: APIClient, book: Book) -> None:
        body = {"customer_id": "cust_1", "amount": "100", "currency": "USD", "idempotency_key": "t"}
        answer = api.post("/v1/wallets/top-ups", body).json()
        again = api.post("/v1/wallets/top-ups", body)

        assert [answer[name] for name in ("amount", "tax", "total")] == ["100", "20", "120"]
        assert again.json() == answer
        assert TopUp.objects.count() == 1

    def test_what_comes_with_it_pays_net_too(self, api: APIClient, book: Book) -> None:
        """100 + 20 for 100 and 20 tax: all 120 credits are revenue of 100."""
        buy(api)
        factories.debit("cust_1", "120")

        burned = lines("DEBIT")
        assert set(burned) == {("2100", "4000"), ("2110", "4010")}
        assert sum(burned.values()) == 100
        assert -factories.posted("2300") == 20
        assert verification.verify().ok

    @pytest.mark.parametrize("customer", [{"country": ""}, {"country": "LV"}])
    def test_without_a_rate_it_is_taxed_by_none(self, customer: dict[str, str]) -> None:
        rate("VAT", "20", "EE")
        terms()
        factories.clocked_customer(**customer)  # type: ignore[arg-type]
        factories.top_up("cust_1", "100")

        bought = TopUp.objects.get()
        assert (bought.taxed_at_sale, bought.tax, bought.tax_rate) == (True, 0, None)
        assert lines("TOP_UP") == {("1010", "2100"): 100}
        assert verification.verify().ok

    def test_each_rate_is_rounded(self) -> None:
        """33.33 at 5 % and 9.975 %: 1.67 and 3.32."""
        quebec()
        terms()
        factories.clocked_customer(country="CA", region="QC")
        factories.top_up("cust_1", "33.33")

        assert TopUp.objects.get().tax == D("4.99")
        assert verification.verify().ok

    def test_a_class_of_products_has_its_own_rate(self) -> None:
        rate("VAT", "20", "EE")
        rate("VAT on books", "9", "EE", product_class="ebook")
        terms(tax_class="EBOOK")
        factories.clocked_customer(country="EE")
        factories.top_up("cust_1", "100")

        assert TopUp.objects.get().tax == 9

    def test_what_was_sold_keeps_its_terms(self, book: Book) -> None:
        factories.top_up("cust_1", "120", name="at sale")
        terms(tax_at_sale=False)
        factories.top_up("cust_1", "120", name="at use")

        factories.debit("cust_1", "240")

        assert lines("DEBIT") == {("2100", "4000"): 220, ("2100", "2300"): 20}
        assert -factories.posted("2300") == 24 + 20
        assert verification.verify().ok

    def test_a_refill_pays_it_too(self, book: Book) -> None:
        factories.top_up("cust_1", "10")
        refill.set_auto_refill(
            livemode=False, customer_id="cust_1", currency="USD", threshold=D(20), amount=D(50),
            enabled=True,
        )  # fmt: skip
        refill.refill_if_low([book.pk])

        bought = TopUp.objects.get(auto_refill__isnull=False)
        assert (bought.amount, bought.tax, bought.total) == (50, 10, 60)
        assert CreditLot.objects.filter(taxed_at_sale=True).count() == 2
        assert -factories.posted("2300") == 12
        assert verification.verify().ok

    def test_the_database_wants_a_rate_with_a_tax(self, book: Book) -> None:
        factories.top_up("cust_1", "100")

        with pytest.raises(IntegrityError), transaction.atomic():
            TopUp.objects.update(tax=30)


class TestUse:
    @pytest.mark.parametrize("mode", ["PREPAID", "HYBRID"])
    def test_a_cycle_that_they_pay_owes_no_tax(self, mode: str) -> None:
        rate("VAT", "20", "EE")
        terms()
        book = factories.subscribed(mode, money="100", country="EE", charges=[fee("100")])

        advance(book, FEBRUARY)

        totals: Any = Settlement.objects.get(kind="CYCLE").totals
        assert [totals[name] for name in ("tax", "total", "to_invoice", "arrears")] == [
            "0", "100", "0", "0",
        ]  # fmt: skip
        assert totals["from_wallet"]["CASH"] == "100"
        assert -factories.posted("2300") == 20
        assert verification.verify().ok

    def test_what_they_do_not_pay_is_taxed_as_ever(self) -> None:
        """A fee of 100, 60 credits: 40 and 8 are invoiced."""
        rate("VAT", "20", "EE")
        terms()
        book = factories.subscribed("HYBRID", money="60", country="EE", charges=[fee("100")])

        advance(book, FEBRUARY)

        invoice = Invoice.objects.get()
        assert (invoice.tax, invoice.from_wallet, invoice.amount_due) == (8, 60, 48)
        assert -factories.posted("2300") == 12 + 8
        assert verification.verify().ok

    def test_arrears_are_paid_net_and_their_tax_is_not_owed_again(self) -> None:
        """A fee of 100 with 20 of tax, nothing there: 30 credits cover 36, the next 70 the rest."""
        rate("VAT", "20", "EE")
        terms()
        book = factories.subscribed("PREPAID", country="EE", charges=[fee("100")])
        advance(book, FEBRUARY)
        assert Settlement.objects.get(kind="CYCLE").arrears == 120

        factories.top_up("cust_1", "30")
        assert Settlement.objects.get(kind="CYCLE").arrears_paid == 36
        factories.top_up("cust_1", "75")

        assert Settlement.objects.get(kind="CYCLE").arrears_paid == 120
        assert factories.available(book) == 5
        assert lines("SETTLEMENT") == {("2100", "4000"): 100}
        assert -factories.posted("2300") == 21
        assert verification.verify().ok


class TestPaidBack:
    def test_40_unused_pay_48(self, api: APIClient, book: Book) -> None:
        top_up = buy(api, bonus=None)
        factories.debit("cust_1", "60")

        answer = refund(api, "40")

        assert posted(answer) == [("2100", "1010", D(40)), ("2300", "1010", D(8))]
        body = answer.json()
        assert body["refunded"] == "48"
        assert body["pay_outs"] == [
            {
                "top_up": top_up,
                "amount": "48",
                "account": "1010",
                "gateway_refund": str(GatewayRefund.objects.get(amount=48).pk),
                "tax": "8",
            }
        ]
        assert tax_report() == [("VAT", 60, 20, 8)]
        assert -factories.posted("2300") == 12
        assert verification.verify().ok

    def test_slices_pay_back_no_more_than_one_does(self, api: APIClient, book: Book) -> None:
        """10 credits cost 12.00; refunds of 3.33, 3.32 and 3.35 pay 2.00 of tax in all."""
        buy(api, bonus=None, amount="10")

        taxes = [
            D(refund(api, part).json()["pay_outs"][0]["tax"]) for part in ("3.33", "3.32", "3.35")
        ]

        assert sum(taxes) == 2
        bought = TopUp.objects.get()
        assert (bought.refunded, bought.tax_refunded, bought.left) == (10, 2, 0)
        assert factories.posted("2300") == 0
        assert factories.posted("1010") == 0
        assert verification.verify().ok

    def test_a_refund_of_two_sales_names_both_rates(self, api: APIClient, book: Book) -> None:
        buy(api, "one", bonus=None, amount="50")
        rate("VAT+", "10", "EE", valid_from=START + MOMENT)
        factories.set_clock(book, START + timedelta(days=1))
        buy(api, "two", bonus=None, amount="50")

        answer = refund(api, "80")

        assert answer.json()["refunded"] == "91"
        assert sum(line[2] for line in posted(answer) if line[0] == "2300") == 11
        assert tax_report() == [("VAT", 20, 10, 6), ("VAT+", 0, 5, 5)]
        assert verification.verify().ok

    def test_a_lost_dispute_returns_the_tax_of_what_is_unused(
        self, api: APIClient, book: Book
    ) -> None:
        """60 of 100 are used: 40 and 8 come back, 72 is lost and claimed."""
        top_up = buy(api, bonus=None)
        factories.debit("cust_1", "60")

        opened = move(api, top_up, "opened")
        lost = move(api, top_up, "lost")

        assert posted(opened) == [("1020", "1010", D(120))]
        assert sorted(posted(lost)) == [
            ("2100", "1020", D(40)), ("2300", "1020", D(8)), ("4940", "1020", D(72)),
        ]  # fmt: skip
        assert (lost.json()["disputed"], lost.json()["owed"]) == ("120", "72")
        assert Claim.objects.get().amount == 72
        assert factories.posted("1020") == 0
        assert tax_report() == [("VAT", 60, 20, 8)]
        assert verification.verify().ok

    def test_a_part_that_is_lost_takes_its_tax(self, api: APIClient, book: Book) -> None:
        """60 of 120 are lost, nothing is used: 50 credits and 10 of tax."""
        top_up = buy(api, bonus=None)

        move(api, top_up, "opened", amount="60")
        lost = move(api, top_up, "lost")

        assert sorted(posted(lost)) == [("2100", "1020", D(50)), ("2300", "1020", D(10))]
        assert factories.available(book) == 50
        assert not Claim.objects.exists()
        assert verification.verify().ok

    def test_no_more_than_was_paid_can_be_contested(self, api: APIClient, book: Book) -> None:
        top_up = buy(api, bonus=None)
        refund(api, "40")

        beyond = move(api, top_up, "opened", amount="72.01")
        assert (beyond.status_code, beyond.json()["code"]) == (422, "out_of_range")
        assert move(api, top_up, "opened", amount="72", key="right").status_code == 200
        assert verification.verify().ok


class TestOnAccount:
    @pytest.mark.parametrize("on_account", ["HELD_BACK", "AT_ONCE"])
    def test_its_invoice_states_the_tax(self, live_api: APIClient, on_account: str) -> None:
        rate("VAT", "20", "EE", livemode=True)
        terms(livemode=True, on_account=on_account)
        factories.customer(livemode=True, country="EE")
        body = {"customer_id": "cust_1", "amount": "100", "currency": "USD", "idempotency_key": "t"}

        made = live_api.post("/v1/wallets/top-ups", body).json()

        invoice = live_api.get(f"/v1/invoices/{made['invoice']}").json()
        shown = ("subtotal", "tax", "total", "amount_due")
        assert [invoice[name] for name in shown] == ["100", "20", "120", "120"]
        assert [(line["kind"], line["amount"]) for line in invoice["lines"]] == [
            ("CREDITS", "100"), ("TAX", "20"),
        ]  # fmt: skip
        assert '"tax":"20"' in IssuedDocument.objects.get().body
        if on_account == "AT_ONCE":
            assert lines("TOP_UP") == {("1100", "2100"): 100, ("1100", "2300"): 20}
        paid = {"amount": "120", "reference": "r", "idempotency_key": "p"}
        assert live_api.post(f"/v1/invoices/{made['invoice']}/pay", paid).json()["status"] == "PAID"
        assert CreditLot.objects.get().taxed_at_sale
        assert [balance(account) for account in ("2300", "2100", "2220", "1100")] == [
            -20, -100, 0, 0,
        ]  # fmt: skip
        assert verification.verify().ok
