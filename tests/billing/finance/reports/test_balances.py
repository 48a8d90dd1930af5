"""Trial balance and contract liability of a quarter worked by hand (see conftest)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from billing.finance import reports
from ledger.entries import books
from ledger.models import (
    Entry,
    Posting,
)
from ledger.reports import trial_balance
from tests.billing.finance.reports.conftest import rows
from tests.billing.finance.reports.figures import JANUARY, SIXTH, THIRD, D, by, figures

pytestmark = pytest.mark.django_db


class TestTrialBalance:
    def test_january_by_hand(self, quarter: None) -> None:
        found = {row["account"]: row["closing"] for row in rows("trial-balance")}

        assert found == {
            "1010": D(140),
            "2100": JANUARY,
            "2110": D(0),
            "2130": D(0),
            "4000": SIXTH + 5 + 25,
            "4010": SIXTH,
            "4200": D(15),
            "4930": D(5),
        }

    def test_both_sides_agree_and_the_opening_is_the_last_closing(self, quarter: None) -> None:
        january, february = rows("trial-balance"), rows("trial-balance", "2026-02")

        for month in (january, february):
            for one, other in (("debit", "credit"), ("closing_debit", "closing_credit")):
                assert sum(r[one] for r in month) == sum(r[other] for r in month)
        closings = {row["account"]: row["closing"] for row in january}
        openings = {row["account"]: row["opening"] for row in february}
        assert openings == closings

    def test_any_day_and_any_moment_of_recording(self, quarter: None) -> None:
        """Before the 10th only the purchases; as recorded before bob's, only ann's."""
        early = reports.scope_of(
            livemode=False, now=datetime(2026, 3, 1, tzinfo=UTC), as_of=date(2026, 1, 9)
        )
        found = {
            row["account"]: row["closing"] for row in reports.find("trial-balance").make(early).rows
        }
        bobs = Entry.objects.filter(book__key="bob").order_by("sequence")[0]
        before_bob = rows(
            "trial-balance", recorded_until=bobs.recorded_at - timedelta(microseconds=1)
        )

        assert found == {
            "1010": D(140), "2100": THIRD + 40, "2110": SIXTH, "2130": D(5), "4930": D(5),
        }  # fmt: skip
        assert {row["account"]: row["closing"] for row in before_bob} == {
            "1010": D(100), "2100": THIRD, "2110": SIXTH,
        }  # fmt: skip

    def test_it_is_what_the_trial_balance_of_the_api_says(self, quarter: None) -> None:
        asked = {row["account"]: row["closing"] for row in rows("trial-balance")}
        answered = trial_balance(livemode=False, as_of=date(2026, 1, 31))

        assert {row.account: row.balance for row in answered} == asked

    def test_one_customer_and_one_currency(self, quarter: None) -> None:
        mine = rows("trial-balance", customer_id="bob")

        assert {row["account"]: row["debit"] for row in mine}["1010"] == 40
        assert rows("trial-balance", currency="EUR") == []


class TestContractLiability:
    def test_january_by_hand(self, quarter: None) -> None:
        found = by(rows("contract-liability"), "kind")

        assert figures(found["Cash credits"]) == {
            "top_ups": D(140),
            "to_bonus": -SIXTH,
            "usage": -(SIXTH + 25),
            "expired": D(-15),
            "closing": JANUARY,
            "lots": JANUARY,
        }
        assert figures(found["Bonus credits"]) == {"to_bonus": SIXTH, "usage": -SIXTH}
        assert figures(found["Goodwill credits"]) == {"granted": D(5), "usage": D(-5)}

    def test_february_opens_where_january_closed(self, quarter: None) -> None:
        """80 old credits and 6 of the 30 new ones are spent: 66.67 was in the opening."""
        cash = by(rows("contract-liability", "2026-02"), "kind")["Cash credits"]

        assert figures(cash) == {
            "opening": JANUARY,
            "top_ups": D(30),
            "usage": -(JANUARY + 6),
            "closing": D(24),
            "from_opening": JANUARY,
            "lots": D(24),
        }

    @pytest.mark.parametrize("period", ["2025-12", "2026-01", "2026-02", "2026-03"])
    def test_it_foots_and_ties(self, quarter: None, period: str) -> None:
        closings = {row["account"]: row["closing"] for row in rows("trial-balance", period)}
        middle = {
            "top_ups", "to_bonus", "granted", "billed", "usage", "tax", "breakage", "expired",
            "refunds", "credit_notes", "reclass", "migrated", "fx", "manual", "other",
        }  # fmt: skip
        for row in rows("contract-liability", period):
            assert row["opening"] + sum(row[name] for name in middle) == row["closing"]
            assert row["closing"] == closings[row["account"]]
            assert row["difference"] in (None, 0)
            assert row["from_opening"] <= row["opening"]

    def test_what_no_rule_knows_is_shown_and_not_plugged(self, quarter: None) -> None:
        book = books.get_book(livemode=False, key="ann")
        entry = Entry.objects.filter(book=book).order_by("-sequence")[0]
        Posting.objects.create(
            book=book, entry=entry, position=99, debit_id="2100", credit_id="3900", amount=7,
            currency="USD",
        )  # fmt: skip

        cash = by(rows("contract-liability", "2026-02"), "kind")["Cash credits"]

        assert (cash["other"], cash["closing"], cash["difference"]) == (-7, 17, -7)
