"""Corrections by hand: two people, a reason that limits the accounts, evidence, one posting."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction

from aforo.errors import Invalid
from billing.finance import verification
from ledger.controls import adjustments, policies
from ledger.entries import books
from ledger.models import AdjustmentLine, Entry, ManualAdjustment
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
        within = [adjustments.Amount("7900", "2220", Decimal(100), "USD")]
        above = [*within, adjustments.Amount("7900", "2220", Decimal("0.01"), "USD")]
        approve(propose("UNEXPLAINED", within))

        with pytest.raises(Invalid, match="above 100"):
            approve(propose("UNEXPLAINED", above))

        assert Entry.objects.count() == 1

    def test_no_customer_is_called_like_the_company(self) -> None:
        with pytest.raises(books.BookExists):
            factories.customer("~company")
