"""Cut-off: each month has what belongs to it, whenever the sweep, the settlement or the close
comes (docs/decisions.md#d45).
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from aforo.sandbox.models import TestClock
from billing.finance import verification
from billing.finance.closing import tie_outs
from billing.lifecycle import subscribing
from billing.models import Settlement
from billing.month_ends import month_end
from ledger.models import Book, Entry
from ledger.reports import trial_balance
from pricing.offerings import coupons
from tests import factories
from tests.billing.finance.moved_clock import Clock, at, meter
from tests.factories import advance
from wallets.debits import reversals
from wallets.models import Debit

pytestmark = pytest.mark.django_db

D = Decimal
CENT = D("0.01")


def sold(mode: str, start: str, *charges: dict[str, object], **plan: Any) -> Book:
    """Subscribe a sandbox customer on a clock to tokens at .002, and to further charges."""
    plan = {"charges": [*charges, *factories.TOKENS_AT_2_MILLS], **plan}
    factories.offering(billing_mode=mode, **plan)
    book = factories.clocked_customer(now=at(start))
    factories.subscription("cust_1")
    return book


def check() -> None:
    proof = verification.verify()
    assert proof.ok, proof.first_bad


def standing(day: str, *, livemode: bool = False) -> dict[str, Decimal]:
    """Return what accounts stand at after a day, credits above zero for liabilities and income."""
    rows = trial_balance(livemode=livemode, as_of=date.fromisoformat(day))
    return {row.account: row.balance.quantize(CENT) for row in rows if row.balance}


def fee(amount: str, timing: str = "ARREARS") -> dict[str, object]:
    terms = {"flat_fee": amount}
    return {"code": "fee", "model": "FLAT_RATE", "terms": terms, "timing": timing}


class TestFeesInAdvance:
    """1,200 for the year 2026, earned by day: 31 of 365 days are 101.92."""

    def sell(self, *, livemode: bool) -> None:
        factories.offering(
            "yearly", interval="YEAR", livemode=livemode, charges=[fee("1200", "ADVANCE")]
        )

    def test_a_worker_that_was_down_over_the_months_end_earns_each_month_its_days(
        self, clock: Clock
    ) -> None:
        self.sell(livemode=True)
        factories.customer(livemode=True)
        subscribing.subscribe(livemode=True, customer_id="cust_1", offering="yearly")
        clock.sweep("2026-01-31T12:00")

        clock.sweep("2026-02-02T09:00")

        assert standing("2026-01-31", livemode=True)["4030"] == D("101.92")
        assert standing("2026-02-01", livemode=True)["4030"] == D("105.21")

    def test_a_test_clock_earns_them_as_it_advances(self) -> None:
        self.sell(livemode=False)
        book = factories.clocked_customer()
        factories.subscription("cust_1", "yearly")

        advance(book, at("2026-01-11T06:00"))
        assert standing("2026-01-11")["4030"] == D("32.88")
        advance(book, at("2026-02-02T09:00"))

        assert standing("2026-01-31")["4030"] == D("101.92")
        assert standing("2026-02-28")["4030"] == D("105.21")


class TestFeesOfTheNextPeriod:
    """A cycle that renews on 1 August: usage of 10.00 belongs to July, the fee of 31 to August."""

    def sell(self, mode: str) -> Book:
        charges = [fee("31", "ADVANCE"), *factories.TOKENS_AT_2_MILLS]
        factories.offering(billing_mode=mode, charges=charges)
        book = factories.clocked_customer(now=at("2026-07-01T00:00"))
        factories.top_up("cust_1", "100" if mode == "PREPAID" else "20")
        factories.subscription("cust_1")
        return book

    def renew(self, book: Book) -> None:
        advance(book, at("2026-07-20T00:00"))
        meter(5_000, at("2026-07-19T00:00"))
        advance(book, at("2026-08-01T00:00"))

    def test_billed_in_arrears_nothing_of_it_stands_on_31_july(self) -> None:
        book = self.sell("HYBRID")
        self.renew(book)

        july, august = standing("2026-07-31"), standing("2026-08-01")

        assert july == {
            "1010": D(20), "1100": D(11), "1200": D(10), "4020": D(10), "4030": D(31),
        }  # fmt: skip
        assert august == {
            "1010": D(20), "1100": D(52), "2120": D(31), "4020": D(10), "4030": D(31),
        }  # fmt: skip

    def test_paid_by_credits_they_are_owed_on_31_july_as_credits(self) -> None:
        book = self.sell("PREPAID")
        self.renew(book)

        july, august = standing("2026-07-31"), standing("2026-08-01")

        assert july == {"1010": D(100), "2100": D(59), "4000": D(10), "4030": D(31)}
        assert august == {
            "1010": D(100), "2100": D(28), "2120": D(31), "4000": D(10), "4030": D(31),
        }  # fmt: skip
        for day in ("2026-07-31", "2026-08-01"):
            ties = tie_outs.of_day(livemode=False, until=date.fromisoformat(day))
            assert [tie for tie in ties if not tie.holds] == []
        assert verification.verify().ok

    def test_the_settlement_names_both_entries(self) -> None:
        book = self.sell("HYBRID")
        self.renew(book)

        done = Settlement.objects.get(kind="CYCLE")

        assert len(done.stages[-1]["notes"]) == 2
        assert Entry.objects.filter(document__settlement=str(done.pk)).count() == 2


class TestUncoveredUsage:
    """HYBRID from 2 July to 2 August, 250,000 tokens (500.00) on 20 July, 100 of credits."""

    JULY = {"4000": D(100), "1200": D(400), "4020": D(400)}

    @pytest.mark.parametrize("swept", [[], ["2026-08-01T00:00"], ["2026-08-03T08:00"]])
    def test_live_a_close_on_5_august_finds_it_in_july(
        self, clock: Clock, swept: list[str]
    ) -> None:
        clock.sell("HYBRID", "2026-07-02T00:00")
        factories.top_up("cust_1", "100", livemode=True)
        clock.meter(250_000, "2026-07-20T00:00")
        for moment in swept:
            clock.sweep(moment)

        clock.close("2026-07", "2026-08-05T00:00")

        assert standing("2026-07-31", livemode=True) == {"1010": D(100), **self.JULY}
        assert standing("2026-08-31", livemode=True) == {
            "1010": D(100), "1100": D(400), "4000": D(100), "4020": D(400),
        }  # fmt: skip
        check()

    def test_in_the_sandbox_a_clock_does(self) -> None:
        book = sold("HYBRID", "2026-07-02T00:00")
        factories.top_up("cust_1", "100")
        advance(book, at("2026-07-21T00:00"))
        meter(250_000, at("2026-07-20T00:00"))

        advance(book, at("2026-08-05T00:00"))

        assert standing("2026-07-31") == {
            "1010": D(100), "1200": D(400), "4000": D(100), "4020": D(400),
        }  # fmt: skip
        assert standing("2026-08-01") == {
            "1010": D(100),
            "1200": D(400),
            "4000": D(100),
            "4020": D(400),
        }
        check()


class TestOverageOfDebits:
    """A cycle from 15 August to 15 September, a debit of 70 beyond the credits on 20 August."""

    def spent(self) -> Book:
        book = sold("HYBRID", "2026-08-15T00:00")
        advance(book, at("2026-08-20T00:00"))
        assert factories.body(factories.debit("cust_1", "70"))["overage"] == "70"
        return book

    @pytest.mark.parametrize(
        "stops", [["2026-09-01T00:00"], ["2026-09-14T00:00"], ["2026-09-16T00:00"]]
    )
    def test_it_is_of_august(self, stops: list[str]) -> None:
        book = self.spent()
        for stop in stops:
            advance(book, at(stop))

        assert standing("2026-08-31") == {"1200": D(70), "4020": D(70)}
        if stops == ["2026-09-16T00:00"]:
            assert standing("2026-09-16") == {"1100": D(70), "4020": D(70)}
        check()

    def test_what_is_taken_back_in_september_stays_of_august(self) -> None:
        book = self.spent()
        advance(book, at("2026-09-03T00:00"))
        (debit,) = Debit.objects.all()
        reversals.reverse(livemode=False, debit_id=debit.pk, key="r", reason="test")

        month_end.reach(book_id=book.pk, end=at("2026-09-01T00:00"))

        assert standing("2026-08-31") == {"1200": D(70), "4020": D(70)}
        assert standing("2026-09-03") == {}


class TestFeesInArrears:
    """310 for 15 August to 15 September, 31 days: 17 of them, 170, are August's."""

    @pytest.mark.parametrize("mode", ["HYBRID", "POSTPAID"])
    def test_they_are_earned_by_the_day(self, mode: str) -> None:
        book = sold(mode, "2026-08-15T00:00", fee("310"))

        advance(book, at("2026-09-16T00:00"))

        assert standing("2026-08-31") == {"1200": D(170), "4030": D(170)}
        assert standing("2026-09-16") == {"1100": D(310), "4030": D(310)}
        check()

    @pytest.mark.parametrize(("wallet", "earned"), [("1000", 170), ("100", 100), (None, 0)])
    def test_prepaid_as_far_as_credits_cover(self, wallet: str | None, earned: int) -> None:
        book = sold("PREPAID", "2026-08-15T00:00", fee("310"))
        if wallet:
            factories.top_up("cust_1", wallet)

        advance(book, at("2026-09-01T00:00"))

        assert standing("2026-08-31").get("4030", D(0)) == earned
        assert standing("2026-09-01").get("4030", D(0)) == 0

    def test_the_coupon_takes_its_part_of_them(self) -> None:
        """A tenth off 310: 279 for the cycle, 153 by 31 August."""
        factories.offering(charges=[fee("310")])
        coupons.create_coupon(
            livemode=False, code="TENTH", type="PERCENT", value=D(10), duration="FOREVER"
        )
        book = factories.clocked_customer(now=at("2026-08-15T00:00"))
        subscribing.subscribe(
            livemode=False, customer_id="cust_1", offering="tokens_monthly", coupon="TENTH"
        )

        advance(book, at("2026-09-16T00:00"))

        assert standing("2026-08-31") == {"1200": D(153), "4030": D(153)}
        assert standing("2026-09-16") == {"1100": D(279), "4030": D(279)}


class TestPrepaidUsage:
    """Usage of 33.00 metered on 31 January at 15:59, in a cycle from 10 January."""

    def test_a_worker_down_over_the_months_end_burns_it_in_january(self, clock: Clock) -> None:
        clock.sell("PREPAID", "2026-01-10T00:00")
        factories.top_up("cust_1", "100", livemode=True)
        clock.sweep("2026-01-31T12:00")
        clock.meter(16_500, "2026-01-31T15:59")

        clock.sweep("2026-02-02T09:00")

        assert standing("2026-01-31", livemode=True)["4000"] == 33
        check()

    def test_received_after_the_sweep_it_is_of_january_at_the_close(self, clock: Clock) -> None:
        clock.sell("PREPAID", "2026-01-10T00:00")
        factories.top_up("cust_1", "100", livemode=True)
        clock.sweep("2026-02-01T00:00")
        clock.meter(16_500, "2026-02-01T00:03", occurred="2026-01-31T15:59")
        clock.sweep("2026-02-01T00:10")
        assert "4000" not in standing("2026-01-31", livemode=True)

        clock.close("2026-01", "2026-02-03T09:00")

        assert standing("2026-01-31", livemode=True)["4000"] == 33
        assert standing("2026-02-03", livemode=True)["4000"] == 33
        check()

    def test_burned_in_february_first_it_is_of_january_after_the_close(self) -> None:
        book = sold("PREPAID", "2026-01-10T00:00")
        factories.top_up("cust_1", "100")
        advance(book, at("2026-01-31T23:00"))
        TestClock.objects.filter(books=book).update(now=at("2026-02-01T00:03"))
        meter(16_500, at("2026-01-31T15:59"), at("2026-02-01T00:03"))
        factories.use("cust_1", D(1_000), "now")
        assert standing("2026-01-31") == {"1010": D(100), "2100": D(100)}
        assert standing("2026-02-01") == {"1010": D(100), "2100": D(65), "4000": D(35)}

        advance(book, at("2026-02-02T00:00"))

        assert standing("2026-01-31") == {"1010": D(100), "2100": D(67), "4000": D(33)}
        assert standing("2026-02-01") == {"1010": D(100), "2100": D(65), "4000": D(35)}
        for day in (date(2026, 1, 31), date(2026, 2, 1)):
            ties = tie_outs.of_day(livemode=False, until=day)
            assert [tie for tie in ties if not tie.holds] == []
        check()


class TestLateUsage:
    """12,500 tokens (25.00) of July, received on 3 August."""

    @pytest.mark.parametrize("start", ["2026-07-01T00:00", "2026-07-15T00:00", "2026-07-02T00:00"])
    def test_closed_on_5_august_they_are_of_july(self, clock: Clock, start: str) -> None:
        """The cycle is settled, open, or was settled in between."""
        clock.sell("POSTPAID", start)
        clock.sweep("2026-08-02T12:00")
        clock.meter(12_500, "2026-08-03T00:00", occurred="2026-07-20T00:00")

        clock.close("2026-07", "2026-08-05T00:00")

        assert standing("2026-07-31", livemode=True) == {"1200": D(25), "4020": D(25)}
        assert standing("2026-08-05", livemode=True) == {}
        clock.sweep("2026-09-16T00:00")
        assert standing("2026-09-16", livemode=True) == {"1100": D(25), "4020": D(25)}
        check()

    def test_in_the_sandbox_the_next_settlement_dates_it(self) -> None:
        book = sold("POSTPAID", "2026-07-01T00:00")
        advance(book, at("2026-08-03T00:00"))
        meter(12_500, at("2026-07-20T00:00"), at("2026-08-03T00:00"))

        advance(book, at("2026-09-01T00:00"))

        assert standing("2026-07-31") == {"1200": D(25), "4020": D(25)}
        assert standing("2026-08-30") == {}
        assert standing("2026-09-01") == {"1100": D(25), "4020": D(25)}
