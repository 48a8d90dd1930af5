"""Reports on what the quarter does not have: each on a case of its own."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from billing.finance import reports
from billing.jobs import test_clocks
from billing.prepaid import reactivation
from billing.usage import ingest
from ledger.entries import books, entries
from ledger.models import (
    AccountingPeriod,
    AdjustmentLine,
    Entry,
    ManualAdjustment,
    PeriodStatus,
)
from ledger.posting_rules import PostingLine
from pricing.models import Campaign
from tests import factories
from tests.billing.finance.reports.conftest import rows, scope
from tests.billing.finance.reports.figures import D, by, figures
from wallets.debits import reversals
from wallets.models import CampaignGrant, CreditLot, Debit

pytestmark = pytest.mark.django_db


def test_promotions_of_a_campaign_go_under_its_code(db: None) -> None:
    book = factories.clocked_customer("ann")
    factories.grant("ann", "10", source="CAMPAIGN")
    lot = CreditLot.objects.get(book=book)
    campaign = Campaign.objects.create(
        livemode=False, code="spring", name="Spring", trigger="EVERYBODY", kind="PROMO",
        amount=D(10), currency="USD",
    )  # fmt: skip
    CampaignGrant.objects.create(
        campaign=campaign, book=book, cause="everybody", quantity=10, lot=lot,
        granted_at=factories.START,
    )  # fmt: skip
    factories.debit("ann", "4")

    (row,) = rows("promo-cost")

    assert (row["campaign"], row["granted"], row["used"], row["outstanding"]) == (
        "spring", 10, 4, 6,
    )  # fmt: skip


def test_the_register_of_corrections(db: None, django_user_model: Any) -> None:
    make = django_user_model.objects.create_user
    maker, approver = make("maker"), make("approver")
    book = factories.clocked_customer("ann")
    factories.top_up("ann", "100")
    entry = Entry.objects.get(book=book)
    terms: dict[str, Any] = {
        "livemode": False,
        "book": book,
        "reason": "BILLING_ERROR",
        "evidence": "Ticket 7",
        "proposed_by": maker,
        "proposed_at": factories.START,
        "occurred_at": factories.START,
    }
    waiting = ManualAdjustment.objects.create(**terms)
    AdjustmentLine.objects.create(
        adjustment=waiting, position=0, debit_id="4000", credit_id="4910", amount=5, currency="USD"
    )
    before = rows("manual-adjustments")
    ManualAdjustment.objects.filter(pk=waiting.pk).update(
        approved_by=approver, approved_at=factories.START, entry=entry
    )
    (posted,) = rows("manual-adjustments")

    assert [(row["status"], row["approved_by"]) for row in before] == [("PROPOSED", "")]
    assert (posted["status"], posted["proposed_by"], posted["approved_by"]) == (
        "POSTED", "maker", "approver",
    )  # fmt: skip
    assert (posted["reason"], posted["evidence"], posted["amount"]) == (
        "Billing error",
        "Ticket 7",
        5,
    )
    assert posted["entry"] == str(entry.pk)
    assert rows("manual-adjustments", "2026-02") == []


def test_receivables_and_unbilled_follow_an_invoice(db: None) -> None:
    """15,000 tokens at 0.002, not covered: 30.00 accrue in January, invoiced in February."""
    book = factories.clocked_customer("cy")
    factories.offering()
    factories.subscription("cy")
    assert book.test_clock_id is not None
    test_clocks.advance(
        clock_id=book.test_clock_id, livemode=False, to=datetime(2026, 1, 6, tzinfo=UTC)
    )
    ingest.ingest(
        livemode=False,
        events=[factories.event("cy", 15_000, "e1", datetime(2026, 1, 5, tzinfo=UTC))],
        received_at=datetime(2026, 1, 6, tzinfo=UTC),
    )
    test_clocks.advance(clock_id=book.test_clock_id, livemode=False, to=factories.FEBRUARY)

    (january,) = rows("unbilled")
    (february,) = rows("unbilled", "2026-02")
    (owed,) = rows("receivables-ageing", "2026-02")
    (later,) = rows("receivables-ageing", "2026-04")

    assert figures(january) == {"accrued": D(30), "closing": D(30)}
    assert figures(february) == {"opening": D(30), "invoiced": D(-30)}
    assert (owed["open"], owed["current"], owed["invoice"]) == (30, 30, "TEST-000001")
    assert rows("receivables-ageing") == []
    # Due on 3 March: 58 days before the end of April.
    assert later["overdue_60"] == 30


def test_late_items_name_both_months(db: None) -> None:
    """An event on the last day of a closed month is posted in the next one."""
    book = books.open_book(livemode=True, key="dee")
    AccountingPeriod.objects.create(
        starts_on=date(2026, 1, 1), ends_on=date(2026, 2, 1), status=PeriodStatus.CLOSED
    )
    for moment, at_end in ((datetime(2026, 1, 31, tzinfo=UTC), False), (factories.MARCH, True)):
        entries.append(
            [
                entries.EntryDraft(
                    book, "TOP_UP", moment, {"key": "k"},
                    [PostingLine("1010", "2100", D(9), "USD")],
                    at_period_end=at_end,
                )
            ]
        )  # fmt: skip
    asked = reports.scope_of(livemode=True, now=factories.MARCH, period="2026-02")

    (late,) = reports.find("late-items").make(asked).rows

    assert (late["occurred_at"], late["accounting_date"]) == (
        datetime(2026, 1, 31, tzinfo=UTC), date(2026, 2, 1),
    )  # fmt: skip
    assert (late["amount"], late["debit"]) == (9, "1010")


def test_late_items_name_the_reversal_of_a_debit_of_an_earlier_month(db: None) -> None:
    """10 used on 20 January, 4 of it given back on 10 February; 3 of February's own are no item."""
    book = factories.clocked_customer("ann", now=datetime(2026, 1, 20, tzinfo=UTC))
    factories.top_up("ann", "100")
    factories.debit("ann", "10", "january")
    factories.advance(book, datetime(2026, 2, 10, tzinfo=UTC))
    factories.debit("ann", "3", "february")
    debits = dict(Debit.objects.values_list("operation__key", "pk"))
    for key in ("january", "february"):
        reversals.reverse(
            livemode=False, debit_id=debits[key], key=f"back-{key}", reason="outage",
            amount=D(4) if key == "january" else D(3),
        )  # fmt: skip

    (late,) = rows("late-items", "2026-02")

    assert (late["event"], late["debit"], late["credit"], late["amount"]) == (
        "Reversal of an earlier month", "4000", "2100", 4,
    )  # fmt: skip
    assert late["occurred_at"] == datetime(2026, 1, 20, tzinfo=UTC)
    assert late["accounting_date"] == date(2026, 2, 10)


def test_without_a_period_it_is_this_month_to_date() -> None:
    asked = reports.scope_of(livemode=True, now=datetime(2026, 5, 17, 9, tzinfo=UTC))

    assert (asked.starts_on, asked.ends_on) == (date(2026, 5, 1), date(2026, 5, 18))
    assert scope("2026-02").ends_on == date(2026, 3, 1)


def test_usage_that_credits_paid_on_the_way_is_earned(db: None) -> None:
    """10,000 tokens at .002 are 20.00, burned of 100.00 before the cycle ends."""
    factories.offering(billing_mode="PREPAID")
    book = factories.clocked_customer()
    factories.subscription("cust_1")
    factories.top_up("cust_1", "100")
    factories.meter(10_000, factories.START, "e1")
    reactivation.burn_prepaid(book_id=book.pk)
    assert Entry.objects.filter(event="USAGE_BURNED").count() == 1

    cash = by(rows("contract-liability"), "kind")["Cash credits"]

    assert figures(cash) == {
        "top_ups": D(100),
        "usage": D(-20),
        "closing": D(80),
        "lots": D(80),
    }
