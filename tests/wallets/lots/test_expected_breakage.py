"""Expected breakage: accrued by cohort, carried by the lots, used up as they lapse."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from billing.finance import verification
from ledger.controls import policies, recognised_breakage
from ledger.models import Book, BreakageRate, Entry, Policy, Posting
from tests import factories
from tests.factories import FEBRUARY, MARCH, START, advance, sold
from wallets.lots import expected_breakage

pytestmark = pytest.mark.django_db

JANUARY_31 = date(2026, 1, 31)
FEBRUARY_28 = date(2026, 2, 28)
MAY = datetime(2026, 5, 1, tzinfo=UTC)


def proportional() -> None:
    factories.decide(Policy, breakage_method="PROPORTIONAL")


def accrue(until: date, at: datetime) -> int:
    return expected_breakage.accrue_breakage(livemode=False, until=until, at=at)


def on_2190(book: Book) -> Decimal:
    lots = book.lots.values_list("pk", flat=True)
    return sum(recognised_breakage.accrued_breakage(list(lots)).values(), Decimal(0))


@pytest.fixture
def user() -> Book:
    """Buys 600 and uses 540; with the 400 of the other this is the step of
    docs/accounting.md#m3.
    """
    book = sold("user", 600, expires_at=MAY)
    factories.debit("user", "540")
    return book


@pytest.fixture
def idler() -> Book:
    return sold("idler", 400, expires_at=MARCH)


def test_a_cohort_earns_in_proportion_and_its_lots_carry_it(user: Book, idler: Book) -> None:
    """1,000 sold, 10 %, 540 used: 60, spread 60 to 400 over the lots that have them left."""
    proportional()
    factories.decide(BreakageRate, kind="CASH", percent=10)

    assert accrue(JANUARY_31, FEBRUARY) == 2

    assert (factories.posted("2190"), -factories.posted("4200")) == (60, 60)
    assert -factories.posted("2100") - factories.posted("2190") == 400
    assert on_2190(user) == Decimal("7.826086956522")
    assert on_2190(idler) == Decimal("52.173913043478")
    entry = Entry.objects.filter(event="BREAKAGE_ACCRUED").first()
    assert entry is not None
    assert (entry.accounting_date, entry.occurred_at) == (JANUARY_31, FEBRUARY)
    assert verification.verify().ok


def test_repeating_an_accrual_changes_nothing(user: Book, idler: Book) -> None:
    proportional()
    factories.decide(BreakageRate, kind="CASH", percent=10)
    accrue(JANUARY_31, FEBRUARY)
    before = factories.everything()

    assert accrue(JANUARY_31, FEBRUARY) == 0

    assert factories.everything() == before


def test_a_lapse_uses_up_its_share_first_and_the_cohort_is_trued_up(
    user: Book, idler: Book
) -> None:
    """400 lapse: 52.17 were recognised, 347.83 are new; then 540 + 400 leave no estimate open."""
    proportional()
    factories.decide(BreakageRate, kind="CASH", percent=10)
    accrue(JANUARY_31, FEBRUARY)

    advance(idler, MARCH)

    lapse = Posting.objects.filter(entry__event="EXPIRY").order_by("position")
    assert [(p.debit_id, p.credit_id, p.amount) for p in lapse] == [
        ("2100", "2190", Decimal("52.173913043478")),
        ("2100", "4200", Decimal("347.826086956522")),
    ]
    # 1,000 sold, 540 used and 400 lapsed: more lapsed than the 100 that were expected.
    # They lapsed as February ended, so that is February's.
    assert accrue(FEBRUARY_28, MARCH) == 1
    assert accrue(date(2026, 3, 31), datetime(2026, 4, 1, tzinfo=UTC)) == 0
    assert factories.posted("2190") == 0
    assert -factories.posted("4200") == 400


def test_a_falling_estimate_is_a_catch_up(user: Book, idler: Book) -> None:
    """From 10 % to 4 %: 540 / 960 of 40 are 22.50, so 37.50 of the 60 go back."""
    proportional()
    factories.decide(BreakageRate, kind="CASH", percent=10)
    accrue(JANUARY_31, FEBRUARY)
    factories.decide(BreakageRate, kind="CASH", percent=4, starts_on=date(2026, 2, 15))

    accrue(FEBRUARY_28, MARCH)

    assert (factories.posted("2190"), -factories.posted("4200")) == (
        Decimal("22.5"),
        Decimal("22.5"),
    )
    february = Posting.objects.filter(entry__accounting_date=FEBRUARY_28)
    assert sum(p.amount for p in february if p.debit_id == "4200") == Decimal("37.5")


def test_the_remote_method_recognises_nothing_before_the_end(user: Book, idler: Book) -> None:
    factories.decide(BreakageRate, kind="CASH", percent=10)

    assert accrue(JANUARY_31, FEBRUARY) == 0
    advance(idler, MARCH)

    assert (factories.posted("2190"), -factories.posted("4200")) == (0, 400)


def test_the_method_moves_timing_only(user: Book, idler: Book) -> None:
    """At the end both methods have the same totals, whatever the estimate was
    (docs/accounting.md#i5).
    """
    proportional()
    factories.decide(BreakageRate, kind="CASH", percent=30)
    accrue(JANUARY_31, FEBRUARY)
    advance(idler, MAY)
    advance(user, MAY)
    accrue(date(2026, 5, 31), datetime(2026, 6, 1, tzinfo=UTC))

    assert (factories.posted("2190"), factories.posted("2100")) == (0, 0)
    assert (-factories.posted("4000"), -factories.posted("4200")) == (540, 460)


def test_a_states_share_of_what_lapses_stays_a_liability(idler: Book) -> None:
    factories.decide(Policy, unclaimed_percent=Decimal(25))

    advance(idler, MARCH)

    assert (-factories.posted("2400"), -factories.posted("4200")) == (100, 300)
    assert factories.posted("2100") == 0


def test_a_rate_that_is_not_approved_counts_for_nothing(user: Book) -> None:
    proportional()
    BreakageRate.objects.create(
        livemode=False,
        kind="CASH",
        percent=10,
        starts_on=START.date(),
        proposed_by=factories.person("ann"),
        proposed_at=START,
        evidence="A memo.",
    )

    assert accrue(JANUARY_31, FEBRUARY) == 0


class TestFourEyes:
    def test_nobody_approves_their_own_estimate(self) -> None:
        with pytest.raises(policies.SamePerson):
            factories.decide(BreakageRate, kind="CASH", percent=10, by="ann")

        assert BreakageRate.objects.filter(approved_at__isnull=False).count() == 0

    def test_the_database_holds_it_too(self) -> None:
        rate = factories.decide(BreakageRate, kind="CASH", percent=10)

        with pytest.raises(IntegrityError, match="two_people"), transaction.atomic():
            BreakageRate.objects.create(
                livemode=False,
                kind="CASH",
                percent=10,
                starts_on=START.date(),
                proposed_by=rate.proposed_by,
                proposed_at=START,
                approved_by=rate.proposed_by,
                approved_at=START,
                evidence="A memo.",
            )

    @pytest.mark.parametrize("change", [{"percent": 20}, {"evidence": "Another memo."}])
    def test_what_was_approved_never_changes(self, change: dict[str, object]) -> None:
        factories.decide(BreakageRate, kind="CASH", percent=10)

        with pytest.raises(IntegrityError, match="decided once"), transaction.atomic():
            BreakageRate.objects.update(**change)
        with pytest.raises(IntegrityError, match="decided once"), transaction.atomic():
            BreakageRate.objects.all()._raw_delete("default")

        assert BreakageRate.objects.get().percent == 10

    def test_it_is_approved_once(self) -> None:
        rate = factories.decide(BreakageRate, kind="CASH", percent=10)

        with pytest.raises(policies.Decided):
            policies.approve(rate, by=factories.person("cleo"), now=FEBRUARY)

    def test_a_rate_for_a_currency_goes_before_one_for_all(self) -> None:
        factories.decide(BreakageRate, kind="CASH", percent=10)
        factories.decide(BreakageRate, kind="CASH", percent=4, currency="EUR")
        factories.decide(
            BreakageRate, kind="CASH", percent=7, currency="EUR", sold_from=date(2026, 2, 1)
        )

        def rate(currency: str, month: int) -> Decimal:
            found = policies.breakage_rate(
                livemode=False,
                kind="CASH",
                currency=currency,
                sold_on=date(2026, month, 1),
                on=date(2026, 6, 30),
            )
            assert found is not None
            return found.percent

        assert (rate("USD", 1), rate("EUR", 1)) == (10, 4)
