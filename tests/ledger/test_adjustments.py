"""Corrections by hand: two people, a reason that limits the accounts, evidence, one posting."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction

from aforo.errors import Invalid
from billing.finance import verification
from ledger.controls import adjustments, policies
from ledger.entries import books
from ledger.models import AdjustmentLine, Entry, ManualAdjustment, Posting
from tests import factories

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 20, tzinfo=UTC)
AT = datetime(2026, 3, 15, tzinfo=UTC)
PAYOUT = [adjustments.Amount("1000", "1010", Decimal("97.10"), "USD")]


def propose(
    reason: str = "PROCESSOR",
    lines: list[adjustments.Amount] | None = None,
    *,
    customer: str | None = None,
) -> ManualAdjustment:
    return adjustments.propose_adjustment(
        livemode=False,
        reason=reason,
        occurred_at=AT,
        evidence="Bank statement 3 of March.",
        lines=PAYOUT if lines is None else lines,
        by=factories.person("ann"),
        now=NOW,
        customer_id=customer,
    )


def approve(proposal: ManualAdjustment, by: str = "bob") -> ManualAdjustment:
    return adjustments.approve_adjustment(
        adjustment_id=proposal.pk, by=factories.person(by), now=NOW
    )


def test_it_is_posted_when_another_person_approves() -> None:
    proposal = propose()
    assert (proposal.status, Entry.objects.count()) == ("PROPOSED", 0)

    posted = approve(proposal)

    assert posted.status == "POSTED"
    entry = Entry.objects.select_related("book").get()
    assert (entry.event, entry.occurred_at, entry.book.key) == ("MANUAL", AT, "~company")
    assert entry.document == {
        "adjustment": str(proposal.pk),
        "reason": "PROCESSOR",
        "evidence": "Bank statement 3 of March.",
        "proposed_by": "ann",
        "approved_by": "bob",
        "actor": {"kind": "JOB", "id": "tests"},
    }
    assert (factories.posted("1000"), factories.posted("1010")) == (
        Decimal("97.10"),
        Decimal("-97.10"),
    )
    assert verification.verify().ok


def test_a_customers_correction_stands_in_the_customers_book() -> None:
    factories.customer()
    lines = [adjustments.Amount("4910", "2210", Decimal(5), "USD")]

    approve(propose("BILLING_ERROR", lines, customer="cust_1"))

    assert Entry.objects.get().book.key == "cust_1"


class TestRefusals:
    def test_who_proposed_it_cannot_approve_it(self) -> None:
        proposal = propose()

        with pytest.raises(policies.SamePerson):
            approve(proposal, by="ann")

        proposal.refresh_from_db()
        assert (proposal.status, Entry.objects.count()) == ("PROPOSED", 0)

    def test_the_database_holds_that_too(self) -> None:
        proposal = propose()
        other = approve(propose())

        with pytest.raises(IntegrityError, match="two_people"), transaction.atomic():
            ManualAdjustment.objects.filter(pk=proposal.pk).update(
                approved_by=proposal.proposed_by, approved_at=NOW, entry=uuid4()
            )
        with pytest.raises(IntegrityError, match="posted"), transaction.atomic():
            ManualAdjustment.objects.filter(pk=proposal.pk).update(
                approved_by=other.approved_by, approved_at=NOW
            )

    def test_it_is_decided_once(self) -> None:
        posted = approve(propose())
        rejected = adjustments.reject_adjustment(
            adjustment_id=propose().pk, by=factories.person("ann"), now=NOW
        )

        for decided in (posted, rejected):
            with pytest.raises(policies.Decided):
                approve(decided, by="cleo")
            with pytest.raises(IntegrityError, match="decided once"), transaction.atomic():
                ManualAdjustment.objects.filter(pk=decided.pk).update(rejected_at=None)

        assert (rejected.status, Entry.objects.count()) == ("REJECTED", 1)

    @pytest.mark.parametrize(
        "change",
        [
            lambda line: AdjustmentLine.objects.update(amount=1),
            lambda line: AdjustmentLine.objects.all()._raw_delete("default"),
            lambda line: AdjustmentLine.objects.create(
                adjustment=line.adjustment,
                position=9,
                debit_id="1000",
                credit_id="1010",
                amount=1,
                currency="USD",
            ),
        ],
    )
    def test_its_lines_never_change(self, change: object) -> None:
        approve(propose())
        line = AdjustmentLine.objects.get()
        assert callable(change)

        with pytest.raises(IntegrityError), transaction.atomic():
            change(line)

        assert AdjustmentLine.objects.get().amount == Decimal("97.10")

    @pytest.mark.parametrize(
        ("reason", "line", "code"),
        [
            # Credits and receivables are corrected through their lots and documents.
            ("BILLING_ERROR", ("2100", "4000", "5", "USD"), "not_allowed"),
            ("BILLING_ERROR", ("1100", "4020", "5", "USD"), "not_allowed"),
            ("PROCESSOR", ("6200", "1150", "5", "USD"), "not_allowed"),
            ("PROCESSOR", ("1000", "1010", "0", "USD"), "invalid"),
            ("PROCESSOR", ("1000", "1010", "-1", "USD"), "invalid"),
            ("PROCESSOR", ("1000", "1010", "0.0000000000001", "USD"), "invalid"),
            ("PROCESSOR", ("1000", "1010", "5", "XXX"), "unknown_currency"),
        ],
    )
    def test_what_its_reason_does_not_move(
        self, reason: str, line: tuple[str, str, str, str], code: str
    ) -> None:
        debit, credit, amount, currency = line

        with pytest.raises(Invalid) as refusal:
            propose(reason, [adjustments.Amount(debit, credit, Decimal(amount), currency)])

        assert [(e.pointer, e.code) for e in refusal.value.errors] == [("/lines/0", code)]
        assert ManualAdjustment.objects.count() == 0

    def test_nothing_to_move(self) -> None:
        with pytest.raises(Invalid):
            propose(lines=[])

    def test_a_large_difference_that_nobody_explains(self) -> None:
        """The default limit is 100."""
        factories.customer()
        within = [adjustments.Amount("7900", "2220", Decimal(100), "USD")]
        above = [*within, adjustments.Amount("7900", "2220", Decimal("0.01"), "USD")]
        approve(propose("UNEXPLAINED", within, customer="cust_1"))

        with pytest.raises(Invalid, match="above 100"):
            approve(propose("UNEXPLAINED", above, customer="cust_1"))

        assert Entry.objects.count() == 1

    def test_no_customer_is_called_like_the_company(self) -> None:
        with pytest.raises(books.BookExists):
            factories.customer("~company")


class TestWhatACustomerHas:
    """A correction takes nothing from an account that the customer does not have there."""

    @pytest.fixture(autouse=True)
    def cust_1(self) -> None:
        factories.customer()
        factories.customer("cust_2")

    def owe(self, amount: str, *, customer: str = "cust_1", credit: str = "2210") -> None:
        lines = [adjustments.Amount("4910", credit, Decimal(amount), "USD")]
        approve(propose("BILLING_ERROR", lines, customer=customer))

    @pytest.mark.parametrize(
        ("debit", "credit"),
        [("2120", "4030"), ("2120", "2210"), ("2210", "4910"), ("4020", "2210"), ("2300", "2210")],
    )
    def test_fees_revenue_and_credit_that_do_not_exist(self, debit: str, credit: str) -> None:
        self.owe("40", customer="cust_2")
        lines = [adjustments.Amount(debit, credit, Decimal(500), "USD")]

        with pytest.raises(Invalid, match=f"cust_1 has 0 USD on {debit}") as refusal:
            propose("BILLING_ERROR", lines, customer="cust_1")

        assert [each.code for each in refusal.value.errors] == ["insufficient_balance"]
        assert (ManualAdjustment.objects.count(), Entry.objects.count()) == (1, 1)

    def test_what_is_there_may_be_taken_and_no_cent_more(self) -> None:
        self.owe("40")
        whole = [adjustments.Amount("2210", "4910", Decimal(40), "USD")]
        above = [*whole, adjustments.Amount("2210", "4910", Decimal("0.01"), "USD")]
        euros = [adjustments.Amount("2210", "4910", Decimal(1), "EUR")]

        for lines in (above, euros):
            with pytest.raises(Invalid, match="would take"):
                propose("BILLING_ERROR", lines, customer="cust_1")
        approve(propose("BILLING_ERROR", whole, customer="cust_1"))

        assert factories.posted("2210") == 0

    def test_lines_that_give_and_take_are_seen_together(self) -> None:
        lines = [
            adjustments.Amount("4910", "2210", Decimal(30), "USD"),
            adjustments.Amount("2210", "2200", Decimal(30), "USD"),
        ]

        approve(propose("BILLING_ERROR", lines, customer="cust_1"))

        assert (factories.posted("2210"), factories.posted("2200")) == (0, -30)

    def test_what_went_away_between_proposal_and_approval(self) -> None:
        self.owe("40")
        lines = [adjustments.Amount("2210", "4910", Decimal(40), "USD")]
        first, second = (propose("BILLING_ERROR", lines, customer="cust_1") for _ in range(2))
        approve(first)

        with pytest.raises(Invalid, match="cust_1 has 0 USD on 2210"):
            approve(second)

        second.refresh_from_db()
        assert (second.status, Entry.objects.count()) == ("PROPOSED", 2)

    def test_what_came_later_was_not_there_yet(self) -> None:
        self.owe("40")
        with pytest.raises(Invalid, match="cust_1 has 0 USD on 2210"):
            adjustments.propose_adjustment(
                livemode=False,
                reason="BILLING_ERROR",
                evidence="Ticket 9.",
                lines=[adjustments.Amount("2210", "4910", Decimal(40), "USD")],
                occurred_at=AT - timedelta(days=20),
                by=factories.person("ann"),
                now=NOW,
                customer_id="cust_1",
            )

    @pytest.mark.parametrize("credit", ["2200", "2210", "2220"])
    def test_an_account_that_is_kept_by_customer_needs_one(self, credit: str) -> None:
        lines = [adjustments.Amount("7900", credit, Decimal(5), "USD")]

        with pytest.raises(Invalid) as refusal:
            propose("UNEXPLAINED", lines)

        assert [each.code for each in refusal.value.errors] == ["customer_required"]

    @pytest.mark.parametrize(
        ("customer", "debit", "credit"),
        [("cust_1", code, "4000") for code in ("1100", "1200", "2100", "2110", "2130", "2190")]
        + [(None, "7900", code) for code in ("2120", "2200", "2210", "2220")],
    )
    def test_the_database_holds_that_too(
        self, customer: str | None, debit: str, credit: str
    ) -> None:
        rounding = [adjustments.Amount("4910", "4000", Decimal(5), "USD")]
        proposal = propose("BILLING_ERROR", rounding, customer=None)
        if customer is not None:
            self.owe("40")
            proposal = propose(
                "BILLING_ERROR",
                [adjustments.Amount("4910", "2210", Decimal(5), "USD")],
                customer=customer,
            )

        with pytest.raises(IntegrityError, match="refused"), transaction.atomic():
            AdjustmentLine.objects.create(
                adjustment=proposal, position=9, debit_id=debit, credit_id=credit, amount=5,
                currency="USD",
            )  # fmt: skip


class TestAccruals:
    """August's overage of 70, which no cycle has brought up yet, is August's."""

    LINES = [adjustments.Amount("1200", "4020", Decimal(70), "USD")]

    def accrue(self, now: datetime) -> ManualAdjustment:
        return adjustments.propose_adjustment(
            livemode=False,
            reason="ACCRUAL",
            occurred_at=datetime(2026, 8, 31, 12, tzinfo=UTC),
            evidence="Usage of 20 August, ticket 12.",
            lines=self.LINES,
            by=factories.person("ann"),
            now=now,
            customer_id="cust_1",
        )

    def test_it_is_taken_back_on_the_first_of_the_next_month(self) -> None:
        factories.customer()
        asked = self.accrue(datetime(2026, 9, 3, tzinfo=UTC))

        adjustments.approve_adjustment(
            adjustment_id=asked.pk, by=factories.person("bob"), now=datetime(2026, 9, 3, tzinfo=UTC)
        )

        first, second = Entry.objects.order_by("sequence")
        assert (first.accounting_date, second.accounting_date) == (
            date(2026, 8, 31), date(2026, 9, 1),
        )  # fmt: skip
        assert second.document["reverses"] == str(first.pk)
        pairs = Posting.objects.order_by("entry__sequence").values_list("debit", "credit", "amount")
        assert list(pairs) == [("1200", "4020", 70), ("4020", "1200", 70)]
        assert verification.verify().ok

    def test_a_month_that_goes_on_is_not_accrued_yet(self) -> None:
        factories.customer()

        with pytest.raises(Invalid, match="once it is over"):
            self.accrue(datetime(2026, 8, 31, 23, tzinfo=UTC))

        assert ManualAdjustment.objects.count() == 0

    def test_it_is_some_customers(self) -> None:
        with pytest.raises(Invalid) as refusal:
            propose("ACCRUAL", self.LINES)

        assert [each.code for each in refusal.value.errors] == ["customer_required"]
