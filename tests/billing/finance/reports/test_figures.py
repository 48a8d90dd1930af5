"""Every report on a quarter whose figures can be checked by hand (see conftest)."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from aforo.errors import Invalid
from billing.finance import reports
from ledger.exports import batches
from ledger.models import (
    BreakageRate,
    Entry,
    Policy,
    Posting,
)
from tests import factories
from tests.billing.finance.reports.conftest import rows
from tests.billing.finance.reports.figures import JANUARY, SIXTH, THIRD, D, by, figures
from wallets.models import CreditLot
from wallets.reports import lots

pytestmark = pytest.mark.django_db


def test_revenue_by_type_and_customer(quarter: None) -> None:
    found = by(rows("revenue"), "account", "customer_id")

    assert {key: row["net"] for key, row in found.items()} == {
        ("4000", "ann"): SIXTH,
        ("4000", "bob"): D(30),
        ("4010", "ann"): SIXTH,
        ("4200", "bob"): D(15),
        ("4930", "bob"): D(-5),
    }
    assert found["4930", "bob"]["contra"] == 5
    assert found["4000", "ann"]["gross"] == SIXTH


def test_breakage_by_cohort(quarter: None) -> None:
    """January's 123.33 of cash credits: 41.67 used and 15 lapsed by its end."""
    found = by(rows("breakage"), "cohort", "kind")

    cash = found["2026-01", "CASH"]
    assert cash["sold"] == THIRD + 40
    assert cash["redeemed"] == SIXTH + 25
    assert (cash["lapsed"], cash["lapsed_in_span"]) == (15, 15)
    assert cash["outstanding"] == JANUARY
    assert (
        by(rows("breakage", "2026-02"), "cohort", "kind")["2026-01", "CASH"]["lapsed_in_span"] == 0
    )


def test_wallet_ageing_ties_to_the_liabilities(quarter: None) -> None:
    """On 28 February ann's last lot of 5 February is left: 24, with no expiry."""
    (lot,) = rows("wallet-ageing", "2026-02")
    (older,) = rows("wallet-ageing", "2026-01")

    assert (lot["carrying"], lot["remaining"], lot["face"]) == (24, 24, 30)
    assert (lot["age_30"], lot["expires_never"], lot["account"]) == (24, 24, "2100")
    assert (older["carrying"], older["remaining"]) == (JANUARY, 80)
    assert rows("wallet-ageing", "2026-03")[0]["age_90"] == 24


def test_the_matrix_holds_every_posting_once(quarter: None) -> None:
    (clearing, cash, *_) = rows("debit-credit-matrix")

    assert figures(clearing) == {"2100": THIRD + 40, "2110": SIXTH, "total": D(140)}
    assert figures(cash) == {"4000": SIXTH + 25, "4200": D(15), "total": SIXTH + 40}


def test_the_journal_in_full_and_in_sum(quarter: None) -> None:
    detail, summary = rows("journal-detail"), rows("journal-summary")
    turnover = rows("trial-balance")

    for side in ("debit", "credit"):
        lines: dict[object, Decimal] = {}
        for line in detail:
            if line[side] is not None:
                lines[line["account_code"]] = lines.get(line["account_code"], D(0)) + line[side]
        assert lines == {row["account"]: row[side] for row in summary if row[side]}
        assert lines == {row["account"]: row[side] for row in turnover if row[side]}
    spent = [line for line in detail if line["event_type"] == "DEBIT"]
    assert [(x["account_code"], x["credit_type"], x["units"]) for x in spent if x["debit"]] == [
        ("2110", "BONUS", 20), ("2100", "CASH", 20), ("2130", "PROMO", 5), ("2100", "CASH", 25),
    ]  # fmt: skip
    assert {x["ledger_seq"] for x in spent if x["customer_id"] == "ann"} == {3}


def test_promotions_are_counted_in_face(quarter: None) -> None:
    found = by(rows("promo-cost"), "source")

    assert (found["MANUAL"]["granted"], found["MANUAL"]["used"]) == (10, 10)
    assert (found["GOODWILL"]["granted"], found["GOODWILL"]["outstanding"]) == (5, 0)


class TestReconciliation:
    def test_all_three_ways_agree(self, quarter: None) -> None:
        found = rows("reconciliation", "2026-02")

        assert {row["status"] for row in found} == {"agrees"}
        assert by(found, "check", "subject")["carrying", "2100 Contract liability: cash credits"][
            "expected"
        ] == 24  # fmt: skip
        assert by(found, "check", "subject")["units", "CASH credits"]["expected"] == 24

    def test_a_difference_is_named(self, quarter: None) -> None:
        """7 more remain than movements say; 5 are posted to 2110 that no lot carries."""
        CreditLot.objects.filter(kind="CASH", remaining=24).update(remaining=25)
        entry = Entry.objects.filter(book__key="ann").order_by("-sequence")[0]
        Posting.objects.create(
            book=entry.book, entry=entry, position=99, debit_id="1010", credit_id="2110", amount=5,
            currency="USD",
        )  # fmt: skip

        found = by(rows("reconciliation", "2026-02"), "check", "subject")

        assert found["units", "CASH credits"]["difference"] == -1
        bonus = found["carrying", "2110 Contract liability: bonus credits"]
        assert (bonus["expected"], bonus["found"], bonus["status"]) == (0, 5, "differs")

    def test_what_is_not_exported_yet_is_said(self, quarter: None) -> None:
        batches.export(
            batches.ExportRequest(False, "GENERIC", date(2026, 2, 1), date(2026, 3, 1)),
            now=factories.MARCH,
            by="fin",
            lots_of=lots.facts_of,
        )
        before = [row for row in rows("reconciliation", "2026-02") if row["check"] == "GL"]
        factories.debit("ann", "3")
        after = [row for row in rows("reconciliation", "2026-02") if row["status"] != "agrees"]

        assert {row["status"] for row in before} == {"agrees"}
        assert [(row["subject"][:4], row["difference"], row["status"]) for row in after] == [
            ("2100", -3, "not exported yet"), ("4000", 3, "not exported yet"),
        ]  # fmt: skip


def test_breakage_against_the_estimate(quarter: None, django_user_model: Any) -> None:
    """10 % expected of January's 123.33; once 80 of it is used up by ann, 15 of 123.33 lapsed.

    End of January: 41.67 of 123.33 redeemed at 90 %, so 4.63 are earned, and 15 lapsed: nothing
    is left to accrue. At its end 12.16 % have lapsed, 2.16 points above the estimate.
    """
    make = django_user_model.objects.create_user
    decided = {
        "proposed_by": make("maker"), "approved_by": make("approver"), "evidence": "study",
        "proposed_at": factories.START, "approved_at": factories.START, "livemode": False,
        "starts_on": date(2026, 1, 1),
    }  # fmt: skip
    Policy.objects.create(breakage_method="PROPORTIONAL", **decided)
    BreakageRate.objects.create(kind="CASH", percent=10, **decided)

    january = by(rows("breakage"), "cohort", "kind")["2026-01", "CASH"]
    february = by(rows("breakage", "2026-02"), "cohort", "kind")["2026-01", "CASH"]

    assert (january["expected_percent"], january["accrued"], january["back_test"]) == (10, 0, None)
    assert february["outstanding"] == 0
    assert february["lapse_percent"] == D("12.162162162162")
    assert february["back_test"] == D("2.162162162162")


def test_no_report_asks_more_of_the_database_when_there_is_more(quarter: None) -> None:
    def statements(name: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            rows(name, "2026-02")
        return len(queries)

    before = {name: statements(name) for name in reports.NAMES}
    for n in range(8):
        factories.debit("ann", "1", name=f"more-{n}")

    assert {name: statements(name) for name in reports.NAMES} == before


@pytest.mark.parametrize(
    ("terms", "pointer"),
    [
        ({"period": "2026-13"}, "/period"),
        ({"period": "202601"}, "/period"),
        ({"period": "9999-12"}, "/period"),
        ({"period": "2026-01", "as_of": date(2026, 1, 1)}, "/as_of"),
        ({"as_of": date.max}, "/as_of"),
        ({"currency": "XXX"}, "/currency"),
    ],
)
def test_a_bad_question_is_named(terms: dict[str, object], pointer: str) -> None:
    with pytest.raises(Invalid) as refused:
        reports.scope_of(livemode=True, now=factories.START, **terms)  # type: ignore[arg-type]

    assert [error.pointer for error in refused.value.errors] == [pointer]
