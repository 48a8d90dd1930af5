"""Reports for the tax return and for the auditors' journal-entry tests."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.utils import timezone

from aforo import actors
from aforo.actors import Actor, ActorKind
from aforo.database.snapshot import snapshot
from aforo.periods import month_of
from billing.finance import reports
from billing.invoicing.tax_rates import create_tax_rate
from billing.jobs import test_clocks
from billing.usage import ingest
from ledger.controls import adjustments
from ledger.controls.adjustments import Amount
from ledger.entries.entry_filters import postings_behind
from ledger.models import Book, Entry, Posting
from ledger.reports.report_table import ReportScope
from pricing.models import Metric
from tests import factories
from tests.billing.finance.reports.conftest import live_through, rows, scope
from tests.factories import FEBRUARY, MARCH, START

pytestmark = pytest.mark.django_db
D = Decimal


@pytest.fixture
def taxed(db: None) -> Book:
    """10,000 tokens x .002 are 20.00, with 20 % tax 24.00: credits of 12 pay half, an invoice of 1
    February the rest.
    """
    create_tax_rate(livemode=False, name="IVA", country="ES", percent=D(20), now=START)
    factories.offering()
    book = factories.clocked_customer()
    book.customer.country = "ES"
    book.customer.save(update_fields=["country"])
    factories.subscription("cust_1")
    factories.top_up("cust_1", "12")
    factories.meter(10_000, START, "e1")
    assert book.test_clock_id is not None
    test_clocks.advance(clock_id=book.test_clock_id, livemode=False, to=FEBRUARY)
    return book


@pytest.fixture
def quarter(db: None) -> None:
    """Live through the quarter for one test alone: the others here want nothing of it."""
    live_through()


def correct(debit: str, credit: str, amount: str, reason: str, evidence: str) -> None:
    """Correct the books by hand; Ann asks, Bob agrees."""
    asked = adjustments.propose_adjustment(
        livemode=False,
        reason=reason,
        evidence=evidence,
        lines=[Amount(debit, credit, D(amount), "USD")],
        occurred_at=FEBRUARY,
        by=factories.person("ann"),
        now=FEBRUARY,
    )
    adjustments.approve_adjustment(adjustment_id=asked.pk, by=factories.person("bob"), now=FEBRUARY)


def test_tax_by_jurisdiction_when_it_falls_due(taxed: Book) -> None:
    correct("2300", "1000", "3", "REMITTANCE", "The return of the first quarter")

    (january,) = rows("tax")
    (remitted, february) = rows("tax", "2026-02")

    names = ("jurisdiction", "tax_code", "percent", "base", "charged", "owed")
    assert [january[name] for name in names] == ["ES", "IVA", "20", 10, 2, 2]
    assert [february[name] for name in names] == ["ES", "IVA", "20", 10, 2, 2]
    assert [remitted[name] for name in names] == ["", "", "", 0, 0, -3]
    assert -factories.posted("2300") == 2 + 2 - 3


def test_credits_that_owe_no_tax_are_no_base() -> None:
    """A debit of 48: 18 of promo, 30 of cash, which is 25 and 5; a debit of goodwill is nothing."""
    create_tax_rate(livemode=False, name="IVA", country="ES", percent=D(20), now=START)
    factories.clocked_customer(country="ES")
    factories.grant("cust_1", "18")
    factories.top_up("cust_1", "30")
    factories.debit("cust_1", "48")
    factories.grant("cust_1", "10", source="GOODWILL", name="sorry")
    factories.debit("cust_1", "10")

    (january,) = rows("tax")

    names = ("tax_code", "base", "charged", "owed")
    assert [january[name] for name in names] == ["IVA", 25, 5, 5]


def test_a_document_with_two_rates_counts_with_each() -> None:
    """10,000 tokens x .002 of January come late: 20.00 at 20 %, beside February's 30.00 at 25 %."""
    create_tax_rate(livemode=False, name="IVA", country="ES", percent=D(20), now=START)
    create_tax_rate(livemode=False, name="IVA+", country="ES", percent=D(25), now=FEBRUARY)
    factories.offering()
    book = factories.clocked_customer()
    book.customer.country = "ES"
    book.customer.save(update_fields=["country"])
    factories.subscription("cust_1")
    factories.advance(book, FEBRUARY)
    events = [
        factories.event("cust_1", 10_000, "late", START),
        factories.event("cust_1", 15_000, "in time", FEBRUARY),
    ]
    ingest.ingest(livemode=False, events=events, received_at=START)

    factories.advance(book, MARCH)

    names = ("tax_code", "percent", "base", "charged", "owed")
    found = [[row[name] for name in names] for row in rows("tax", "2026-03")]
    assert found == [["IVA", "20", 20, 4, 4], ["IVA+", "25", 30, D("7.5"), D("7.5")]]
    assert -factories.posted("2300") == D("11.5")


def test_the_postings_behind_a_tax_sum_to_it(taxed: Book) -> None:
    correct("2300", "1000", "3", "REMITTANCE", "The return of the first quarter")
    report = reports.find("tax").make(scope("2026-02"))
    checked = 0

    for row in report.rows:
        for column in report.columns:
            figure = row.get(column.name)
            if column.drill and figure:
                drill = column.drill(row)
                assert drill is not None
                found = postings_behind(livemode=False, asked=dict(drill))
                assert sum((p.amount for p in found), D(0)) == abs(figure), column.name  # type: ignore[arg-type]
                checked += 1

    assert checked == 4


def picked(period: str = "2026-01") -> list[tuple[Any, ...]]:
    return [(x["debit"], x["credit"], x["amount"], x["why"]) for x in rows("journal-tests", period)]


def test_postings_by_hand_are_picked_with_their_reasons(quarter: None) -> None:
    """In February: 4000 / 4910 once, by hand; the system's three pairs are seldom there too."""
    before = {entry.pk for entry in Entry.objects.all()}
    correct("4910", "4000", "2000", "BILLING_ERROR", "Ticket 7")
    correct("4910", "4000", "12.5", "BILLING_ERROR", "Double-billed usage, ticket 8")

    by_hand = [each for each in picked("2026-02") if "by hand" in each[-1]]

    late = "recorded late, "  # The books of a test are recorded today.
    assert [(*each[:3], each[3].replace(late, "")) for each in by_hand] == [
        ("4910", "4000", 2000, "by hand, round, thin reason, seldom pair"),
        ("4910", "4000", D("12.5"), "by hand, seldom pair"),
    ]
    assert Entry.objects.exclude(pk__in=before).count() == 2
    assert {row["actor"] for row in rows("journal-tests", "2026-02")} == {"JOB:tests"}
    made = {row["created_by"] for row in rows("journal-detail", "2026-02")}
    assert made == {"ann", "JOB:tests"}


def test_a_pair_that_occurs_often_is_not_picked(db: None) -> None:
    """What is recorded in its own month, of a common pair, by the system, is nothing to test."""
    factories.customer("ann")
    factories.top_up("ann", "100")
    for number in range(4):
        factories.debit("ann", "1", str(number))
    assert Posting.objects.count() == 5
    month = f"{Entry.objects.latest('recorded_at').accounting_date:%Y-%m}"

    assert picked(month) == [("1010", "2100", 100, "seldom pair")]


def test_the_audit_trail_has_old_and_new_of_its_month_and_mode() -> None:
    """The trail has the moment of the change itself, which no test sets."""
    today = timezone.now().astimezone(ZoneInfo(settings.ENTITY_TIMEZONE)).date()
    month, after = month_of(today)
    with actors.acting(Actor(ActorKind.STAFF, "7")), actors.because("a clearer name"):
        for livemode, code in ((False, "calls"), (True, "seats")):
            Metric.objects.create(livemode=livemode, code=code, name=code, aggregation="COUNT")
        Metric.objects.filter(code="calls").update(name="Requests")

    def found(**of: Any) -> list[dict[str, Any]]:
        asked = ReportScope(**{"livemode": False, "starts_on": month, "ends_on": after, **of})
        with snapshot():
            made = list(reports.find("audit-trail").make(asked).rows)
        return [dict(each) for each in made if each["object"] == "metric"]

    created, changed = found()
    assert [created["action"], changed["action"]] == ["Created", "Changed"]
    assert (created["label"], created["actor"], created["old"]) == ("calls", "STAFF:7", "")
    assert (changed["old"], changed["new"]) == ("name: calls", "name: Requests")
    assert changed["reason"] == "a clearer name"
    assert [each["label"] for each in found(livemode=True)] == ["seats"]
    assert found(starts_on=after, ends_on=after + timedelta(days=1)) == []
    assert found(customer_id="cust_1") == []
