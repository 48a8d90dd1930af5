"""The allowance for losses: what is set aside by age at each close, used up by a write-off
(docs/accounting.md#e39).
"""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from billing.finance import allowance, closing, verification
from billing.finance.closing import tie_outs
from billing.invoicing import payments, write_offs
from billing.models import Invoice
from ledger.controls import policies, provisions
from ledger.entries import books, entries
from ledger.models import Book, ClosePack, Entry, Posting, ProvisionMatrix
from ledger.posting_rules import PostingLine
from tests import factories
from tests.billing.finance.moved_clock import Clock, at
from tests.factories import START
from tests.ledger.seals.tampering import guards_off, sql

pytestmark = pytest.mark.django_db

D = Decimal
PERCENTS = {
    "current": 1, "overdue_30": 5, "overdue_60": 20, "overdue_90": 50, "overdue_later": 100,
}  # fmt: skip


def decide(**terms: Any) -> ProvisionMatrix:
    return factories.decide(ProvisionMatrix, **{"livemode": True, **PERCENTS, **terms})


def billed(clock: Clock) -> str:
    """Close January with 250,000 tokens at .002: 500.00 are invoiced on 1 February, due on 3 March;
    return the invoice's number.
    """
    clock.sell("POSTPAID", "2026-01-01")
    clock.meter(250_000, "2026-01-10")
    clock.sweep("2026-02-01T01:00")
    clock.close("2026-01", "2026-02-05")
    number = Invoice.objects.get().number
    assert number is not None
    return number


def stands() -> list[Decimal]:
    """Return 1150, credits above zero, and 6200."""
    return [-factories.posted("1150", livemode=True), factories.posted("6200", livemode=True)]


def close(clock: Clock, month: str, moment: str) -> list[Decimal]:
    clock.close(month, moment)
    return stands()


def test_a_close_sets_aside_by_age_and_a_write_off_uses_it_up(clock: Clock) -> None:
    """500 due on 3 March: 1 % before, 5 % at 28 days, 20 % at 58; 200 of it paid, 50 % of 300 at
    89 days; 300 written off: 150 were set aside, 150 are an expense of June.
    """
    decide()
    number = billed(clock)
    assert stands() == [0, 0]

    assert close(clock, "2026-02", "2026-03-05") == [5, 5]
    assert close(clock, "2026-03", "2026-04-05") == [25, 25]
    assert close(clock, "2026-04", "2026-05-05") == [100, 100]
    clock.now = at("2026-05-10")
    payments.pay(livemode=True, invoice=number, amount=D(200), reference="wire", key="pay")
    assert close(clock, "2026-05", "2026-06-05") == [150, 150]
    clock.now = at("2026-06-10")
    write_offs.write_off(livemode=True, invoice=number, reason="insolvent", key="off")
    assert stands() == [0, 300]
    assert close(clock, "2026-06", "2026-07-05") == [0, 300]

    adjusted = Entry.objects.filter(event="ALLOWANCE_ADJUSTED").order_by("sequence")
    assert [(e.accounting_date.isoformat(), e.document["period"]) for e in adjusted] == [
        ("2026-02-28", "2026-02"), ("2026-03-31", "2026-03"), ("2026-04-30", "2026-04"),
        ("2026-05-31", "2026-05"),
    ]  # fmt: skip
    assert list(
        Posting.objects.filter(entry__in=adjusted)
        .order_by("entry__sequence")
        .values_list("debit_id", "credit_id", "amount")
    ) == [("6200", "1150", 5), ("6200", "1150", 20), ("6200", "1150", 75), ("6200", "1150", 50)]
    proof = verification.verify()
    assert proof.ok, proof.first_bad


def test_what_is_paid_releases_it(clock: Clock) -> None:
    decide()
    number = billed(clock)
    close(clock, "2026-02", "2026-03-05")
    clock.now = at("2026-03-05")
    payments.pay(livemode=True, invoice=number, amount=D(500), reference="wire", key="pay")

    assert close(clock, "2026-03", "2026-04-05") == [0, 0]


def test_the_pack_has_the_matrix_and_ties_the_account(clock: Clock) -> None:
    decide(overdue_30="7.5")
    billed(clock)

    clock.close("2026-02", "2026-03-05")

    pack = ClosePack.objects.latest("pk")
    files = {file.name: file.content for file in pack.files.all()}
    (matrix,) = json.loads(files["policies.json"])["provision_matrices"]
    assert matrix == {
        "customer": "", "currency": "", "starts_on": "2026-01-01", "current": "1",
        "overdue_30": "7.5", "overdue_60": "20", "overdue_90": "50", "overdue_later": "100",
        "proposed_by": "ann", "approved_by": "bob", "evidence": "A memo.",
    }  # fmt: skip
    assert "1150 = provision matrices,USD,5,5,0\n" in files["tie-outs.csv"]
    (row,) = csv.DictReader(io.StringIO(files["receivables.csv"]))
    assert [row[name] for name in ("kind", "invoiced", "current", "allowance")] == [
        "INVOICE", "500.00", "500.00", "5.00",
    ]  # fmt: skip
    steps = {each["step"]: each["result"] for each in json.loads(files["checklist.json"])["steps"]}
    assert steps["allowance adjusted"] == "In 1 entries."


def test_what_differs_is_named_with_the_customer(clock: Clock) -> None:
    decide()
    billed(clock)
    clock.close("2026-02", "2026-03-05")
    with guards_off("ledger_posting"):
        sql("UPDATE ledger_posting SET amount = 6 WHERE credit_id = '1150'")

    (tie,) = [tie for tie in tie_outs.of_month(until=date(2026, 2, 28)) if not tie.holds]

    assert str(tie) == ("1150 = provision matrices: 6 in the books, 5 USD (differs for cust_1 1)")
    with pytest.raises(closing.NotReady, match="1150 = provision matrices"):
        closing.check_ties([tie])


def test_without_a_matrix_what_was_set_aside_by_hand_stays(clock: Clock) -> None:
    """80 by hand for a customer in USD; the only matrix is of EUR."""
    decide(currency="EUR")
    billed(clock)
    set_aside(Book.objects.get(key="cust_1"), "80")

    assert close(clock, "2026-02", "2026-03-05") == [80, 80]
    assert not Entry.objects.filter(event="ALLOWANCE_ADJUSTED").exists()


def test_it_can_be_repeated(clock: Clock) -> None:
    decide()
    billed(clock)
    asked = {"livemode": True, "until": date(2026, 2, 28), "at": at("2026-03-01")}

    assert [allowance.adjust(**asked) for _ in range(2)] == [1, 0]  # type: ignore[arg-type]
    assert stands() == [5, 5]


class TestMatrices:
    def test_a_customers_own_goes_before_the_currencys_and_that_before_all(self) -> None:
        ann, ben = (
            factories.customer("ann", livemode=True),
            factories.customer("ben", livemode=True),
        )
        decide(current=1)
        decide(current=2, currency="EUR")
        decide(current=3, book=ann)
        decide(current=4, book=ann, currency="EUR")
        decide(current=9, starts_on=date(2026, 3, 1))

        def percent(book: Book, currency: str, on: date = date(2026, 2, 28)) -> Any:
            found = provisions.of_customer(
                provisions.in_force(livemode=True, on=on), book_id=book.pk, currency=currency
            )
            assert found is not None
            return found.current

        asked = [(ben, "USD"), (ben, "EUR"), (ann, "USD"), (ann, "EUR")]
        assert [percent(*each) for each in asked] == [1, 2, 3, 4]
        assert percent(ben, "USD", date(2026, 3, 1)) == 9

    def test_two_people_decide(self) -> None:
        proposed = policies.propose(
            ProvisionMatrix(starts_on=START.date(), evidence="A memo.", **PERCENTS),
            by=factories.person("ann"),
            now=START,
        )

        with pytest.raises(policies.SamePerson):
            policies.approve(proposed, by=factories.person("ann"), now=START)
        assert provisions.in_force(livemode=True, on=date(2026, 6, 1)) == {}

    @pytest.mark.parametrize("change", [{"current": 2}, {"approved_at": None}])
    def test_what_is_decided_never_changes(self, change: dict[str, object]) -> None:
        matrix = decide()

        with pytest.raises(IntegrityError, match="decided once"), transaction.atomic():
            ProvisionMatrix.objects.update(**change)

        matrix.refresh_from_db()
        assert (matrix.current, matrix.is_approved) == (1, True)

    @pytest.mark.parametrize("percent", ["-1", "100.000001"])
    def test_a_percentage_is_one(self, percent: str) -> None:
        with pytest.raises(IntegrityError, match="percents"), transaction.atomic():
            decide(overdue_90=percent)

        assert not ProvisionMatrix.objects.exists()


def set_aside(book: Book, amount: str) -> None:
    with transaction.atomic():
        books.lock_book(book_id=book.pk)
        entries.append(
            [
                entries.EntryDraft(
                    book=book,
                    event="MANUAL",
                    occurred_at=datetime(2026, 2, 10, tzinfo=UTC),
                    document={"reason": "CREDIT_LOSS"},
                    lines=[PostingLine("6200", "1150", D(amount), "USD")],
                )
            ]
        )
