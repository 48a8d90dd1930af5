"""Each account of the balance sheet is tied to the rows that it stands for, as of a day, and a
difference is named with its customer.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import override_settings
from django.utils import timezone
from pytest_django import DjangoDbBlocker

from aforo import money
from billing.finance import closing
from billing.finance.closing import sources, tie_outs
from billing.finance.closing.tie_outs import TieOut
from billing.invoicing import payments
from billing.lifecycle import subscribing
from billing.models import Invoice
from ledger.controls import adjustments
from ledger.models import BreakageRate, Policy
from tests import factories, lived
from tests.admin import company
from tests.ledger.seals.tampering import guards_off, sql
from wallets.debits import engine
from wallets.models import TopUp
from wallets.top_ups import disputes

pytestmark = pytest.mark.django_db

D = Decimal
JANUARY_31 = date(2026, 1, 31)
EVER = date(2026, 12, 31)
TABLES = (
    "ledger_posting", "wallets_movement", "billing_invoice", "billing_advancefee",
    "billing_latecredit", "billing_monthend", "billing_claim", "wallets_topup",
    "billing_customercredit",
)  # fmt: skip

# The first posting of an account, one unit more than it was.
MORE = """
    UPDATE ledger_posting SET amount = amount + 1 WHERE id = (
        SELECT p.id FROM ledger_posting p JOIN ledger_entry e ON e.id = p.entry_id
        JOIN ledger_book b ON b.id = e.book_id AND NOT b.livemode
        WHERE '{account}' IN (p.debit_id, p.credit_id)
        ORDER BY e.accounting_date, e.id, p.position LIMIT 1)
"""
# The same, of another account.
MOVED = """
    UPDATE ledger_posting SET credit_id = '{account}' WHERE id = (
        SELECT p.id FROM ledger_posting p JOIN ledger_entry e ON e.id = p.entry_id
        JOIN ledger_book b ON b.id = e.book_id AND NOT b.livemode
        WHERE e.event = 'INVOICE' AND p.credit_id = '1200' LIMIT 1)
"""
CARRIED = """
    UPDATE wallets_movement SET carrying = carrying + 1 WHERE id = (
        SELECT m.id FROM wallets_movement m JOIN wallets_creditlot lot ON lot.id = m.lot_id
        JOIN ledger_book b ON b.id = m.book_id AND NOT b.livemode
        WHERE m.kind = 'GRANT' AND m.carrying > 0 AND lot.kind = '{kind}'
            AND lot.source {source} LIMIT 1)
"""
LATE_CREDIT = """
    INSERT INTO billing_latecredit
        (id, settlement_id, description, amount, used, paid_out, created_at, entry_id)
    SELECT gen_random_uuid(), id, 'Late', 1, 0, 0, now(), entry_id FROM billing_settlement
    WHERE entry_id IS NOT NULL LIMIT 1
"""
CREDIT = """
    INSERT INTO billing_customercredit (book_id, account, currency, amount, entry_id, posting_id)
    SELECT e.book_id, '{account}', p.currency, 1, e.id, p.id
    FROM ledger_posting p JOIN ledger_entry e ON e.id = p.entry_id
    JOIN ledger_book b ON b.id = e.book_id AND NOT b.livemode
    WHERE e.event = 'INVOICE' AND p.credit_id = '1200' LIMIT 1
"""


SANDBOX = "book_id IN (SELECT id FROM ledger_book WHERE NOT livemode)"


def of_one(table: str, change: str, where: str) -> str:
    chosen = f"SELECT id FROM {table} WHERE {where} LIMIT 1"
    return f"UPDATE {table} SET {change} WHERE id = ({chosen})"


def live() -> None:
    """Run the company, and give goodwill, open a dispute and leave out what is made up there."""
    company.live()
    with guards_off("billing_latecredit"):
        sql("DELETE FROM billing_latecredit")
    factories.grant("ann", "7", source="GOODWILL")
    contested = TopUp.objects.filter(book__key="ann", dispute="", status="SUCCEEDED").latest("pk")
    disputes.dispute(livemode=False, top_up_id=contested.pk, state="opened", key="contested")


class TestTampering:
    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def world(
        cls,
        django_db_setup: None,
        django_db_blocker: DjangoDbBlocker,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> Iterator[None]:
        with (
            override_settings(SEALS_DIR=tmp_path_factory.mktemp("seals"), BACKDATED_CYCLES=1_000),
            lived.once(live, django_db_blocker),
        ):
            yield

    def differing(self, day: date = EVER) -> dict[str, TieOut]:
        ties = tie_outs.of_day(livemode=False, until=day)
        return {tie.name.split()[0]: tie for tie in ties if not tie.holds}

    @pytest.mark.parametrize("day", [date(2026, 1, 10), JANUARY_31, date(2026, 2, 28), EVER])
    def test_untouched_everything_ties(self, day: date) -> None:
        assert self.differing(day) == {}

    def test_every_account_stands_at_something_some_day(self) -> None:
        """But what no document of this company moves: 2200, 2220 and 2300."""
        days = [JANUARY_31, date(2026, 2, 1), EVER]
        found = {
            tie.name.split()[0]
            for day in days
            for tie in tie_outs.of_day(livemode=False, until=day)
            if tie.books
        }

        tied = {source.account for source in sources.SOURCES}
        assert tied - found == {"2200", "2220", "2300"}

    @pytest.mark.parametrize(
        "account",
        ["1010", "1020", "1100", "1200", "2100", "2110", "2120", "2130", "4940"],
    )
    def test_a_posting_that_was_raised_is_named_with_its_account_and_customer(
        self, account: str
    ) -> None:
        with guards_off("ledger_posting"):
            sql(MORE.format(account=account))

        tie = self.differing()[account]
        assert abs(tie.difference) == 1
        (named,) = tie.differing
        assert named.who in {"ann", "ben", "cora"}
        assert str(tie).endswith(f"(differs for {named.who} {money.plain(tie.difference)})")

    @pytest.mark.parametrize("account", ["2200", "2210", "2220", "2300"])
    def test_a_posting_to_an_account_that_nothing_stands_for_is_named(self, account: str) -> None:
        with guards_off("ledger_posting"):
            sql(MOVED.format(account=account))

        assert {account, "1200"} <= self.differing().keys()

    @pytest.mark.parametrize(
        ("account", "day", "change"),
        [
            ("1010", EVER, of_one("wallets_topup", "amount = amount + 1", SANDBOX)),
            ("1010", EVER, of_one("wallets_topup", "refunded = 1", f"dispute = '' AND {SANDBOX}")),
            (
                "1020",
                EVER,
                of_one("wallets_topup", "disputed = disputed - 1", "dispute = 'opened'"),
            ),
            ("1100", EVER, of_one("billing_invoice", "paid = paid + 1", "status = 'OPEN'")),
            (
                "1100",
                EVER,
                of_one("billing_invoice", "issued_at = NULL", "status = 'OPEN'"),
            ),
            (
                "1200",
                JANUARY_31,
                of_one("billing_invoice", "issued_at = '2026-01-31T12:00Z'", "status = 'OPEN'"),
            ),
            ("1200", JANUARY_31, "UPDATE billing_monthend SET usage = usage + 1"),
            ("2100", EVER, CARRIED.format(kind="CASH", source="<> ''")),
            ("2110", EVER, CARRIED.format(kind="BONUS", source="<> ''")),
            ("2130", EVER, CARRIED.format(kind="PROMO", source="= 'GOODWILL'")),
            ("2120", EVER, of_one("billing_advancefee", "amount = amount + 1", "true")),
            ("2200", EVER, LATE_CREDIT),
            ("2210", EVER, CREDIT.format(account="2210")),
            ("2220", EVER, CREDIT.format(account="2220")),
            ("2300", EVER, of_one("billing_invoice", "due_tax = 1", "status = 'OPEN'")),
            ("4940", EVER, of_one("billing_claim", "amount = amount + 1", "top_up_id IS NOT NULL")),
        ],
    )
    def test_a_row_that_was_changed_is_named_with_its_account(
        self, account: str, day: date, change: str
    ) -> None:
        with guards_off(*TABLES):
            sql(change)

        assert account in self.differing(day)

    def test_what_differs_for_two_customers_and_not_in_all_differs(self) -> None:
        """One claim is a unit lower, another customer's a unit higher."""
        with guards_off("billing_claim"):
            for key, change in (("ann", "+ 1"), ("ben", "- 1")):
                whose = f"book_id = (SELECT id FROM ledger_book WHERE key = '{key}')"
                sql(of_one("billing_claim", f"amount = amount {change}", whose))

        tie = self.differing()["4940"]

        assert tie.difference == 0
        assert [each.who for each in tie.differing] == ["ann", "ben"]


class TestAsOfTheDay:
    def test_an_invoice_that_was_paid_since_was_open_at_the_months_end(self) -> None:
        """10,000 x .002 = 20.00, invoiced on 1 February, paid on 10 March."""
        factories.offering()
        book = factories.clocked_customer()
        factories.subscription("cust_1")
        factories.advance(book, datetime(2026, 1, 20, tzinfo=UTC))
        factories.meter(10_000, datetime(2026, 1, 15, tzinfo=UTC))
        factories.advance(book, datetime(2026, 3, 10, tzinfo=UTC))
        invoice = Invoice.objects.get(amount_due=20)
        payments.pay(
            livemode=False, invoice=str(invoice.pk), amount=D(20), reference="wire", key="pay"
        )

        def stands(day: date) -> dict[str, tuple[Decimal, Decimal]]:
            ties = tie_outs.of_day(livemode=False, until=day)
            return {tie.name.split()[0]: (tie.books, tie.other) for tie in ties}

        assert stands(JANUARY_31)["1200"] == (20, 20)
        assert "1100" not in stands(JANUARY_31)
        assert stands(date(2026, 2, 28))["1100"] == (20, 20)
        assert "1100" not in stands(date(2026, 3, 10))

    def test_credit_corrected_by_hand_is_counted_once(self) -> None:
        """5 given for an error on 15 January: a row of the adjustment, and one of the credit."""
        factories.customer()
        proposal = adjustments.propose_adjustment(
            livemode=False,
            reason="BILLING_ERROR",
            occurred_at=datetime(2026, 1, 15, tzinfo=UTC),
            evidence="Letter of the customer.",
            lines=[adjustments.Amount("4910", "2210", D(5), "USD")],
            by=factories.person("ann"),
            now=datetime(2026, 1, 16, tzinfo=UTC),
            customer_id="cust_1",
        )
        adjustments.approve_adjustment(
            adjustment_id=proposal.pk,
            by=factories.person("bob"),
            now=datetime(2026, 1, 16, tzinfo=UTC),
        )

        (tie,) = [
            tie
            for tie in tie_outs.of_day(livemode=False, until=JANUARY_31)
            if tie.name.startswith("2210")
        ]

        assert (tie.books, tie.other, tie.holds) == (5, 5, True)

    def test_an_accrual_by_hand_and_its_way_back_are_both_counted(self) -> None:
        """70 accrued on 31 January, taken back on 1 February."""
        factories.customer()
        proposal = adjustments.propose_adjustment(
            livemode=False,
            reason="ACCRUAL",
            occurred_at=datetime(2026, 1, 31, 12, tzinfo=UTC),
            evidence="Usage of 20 January.",
            lines=[adjustments.Amount("1200", "4020", D(70), "USD")],
            by=factories.person("ann"),
            now=datetime(2026, 2, 3, tzinfo=UTC),
            customer_id="cust_1",
        )
        adjustments.approve_adjustment(
            adjustment_id=proposal.pk,
            by=factories.person("bob"),
            now=datetime(2026, 2, 3, tzinfo=UTC),
        )

        january, february = (
            tie_outs.of_day(livemode=False, until=day) for day in (JANUARY_31, date(2026, 2, 28))
        )

        (tie,) = [tie for tie in january if tie.name.startswith("1200")]
        assert (tie.books, tie.other, tie.holds) == (70, 70, True)
        assert [tie for tie in february if not tie.holds] == []


class TestOfAMonth:
    def test_expected_breakage_is_that_of_its_cohorts(self) -> None:
        """1,000 sold, 10 % expected unused, 540 used: 60, not accrued yet."""
        today = timezone.now().date()
        terms: dict[str, Any] = {"livemode": True, "starts_on": date(2026, 1, 1)}
        factories.decide(Policy, breakage_method="PROPORTIONAL", **terms)
        factories.decide(BreakageRate, kind="CASH", percent=10, **terms)
        factories.customer(livemode=True)
        factories.top_up("cust_1", "1000", livemode=True)
        asked = engine.DebitRequest(customer_id="cust_1", key="a", amount=D(540))
        factories.body(engine.execute([asked], livemode=True)[0])

        (tie,) = [tie for tie in tie_outs.of_month(until=today) if not tie.holds]

        assert (tie.name, tie.books, tie.other) == ("2190 = cohorts", 0, 60)
        with pytest.raises(closing.NotReady, match="2190 = cohorts: 0 in the books, 60 USD"):
            closing.check_ties(tie_outs.of_month(until=today))

    def test_a_fee_whose_days_were_not_earned_is_named(self) -> None:
        """310 for a month, of which the days up to ten days from now are to be earned."""
        fee = {"flat_fee": "310"}
        charges = [{"code": "fee", "model": "FLAT_RATE", "terms": fee, "timing": "ADVANCE"}]
        factories.offering("monthly", livemode=True, charges=charges)
        factories.customer(livemode=True)
        subscribing.subscribe(livemode=True, customer_id="cust_1", offering="monthly")

        until = (timezone.now() + timedelta(days=10)).date()
        (tie,) = [tie for tie in tie_outs.of_month(until=until) if not tie.holds]

        assert tie.name == "2120 = days to come"
        assert [each.who for each in tie.differing] == ["cust_1"]
