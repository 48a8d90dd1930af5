"""Cases of docs/accounting.md that a person can check by hand, through the services, from sale to
report.
"""

from __future__ import annotations

import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from aforo import money
from aforo.database.snapshot import snapshot
from billing.finance import closing, reports, verification
from billing.jobs import due_work
from billing.lifecycle import subscribing
from billing.models import Invoice
from billing.usage import ingest
from ledger.models import BreakageRate, ClosePack, Entry, Policy
from ledger.reports import writing
from ledger.reports.totals.trial_balance import trial_balance
from tests import factories
from tests.factories import FEBRUARY, MARCH, START, advance, sold
from tests.ledger.seals.tampering import sql
from wallets.debits import engine
from wallets.lots import expected_breakage

pytestmark = pytest.mark.django_db

JANUARY = date(2026, 1, 1)
NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)


def breakage_to_date(until: date) -> tuple[Decimal, Decimal]:
    """Accrue up to a day; give the breakage earned so far, and what is owed net of it, in cents."""
    midnight = datetime(until.year, until.month, until.day, tzinfo=UTC) + timedelta(days=1)
    expected_breakage.accrue_breakage(livemode=False, until=until, at=midnight)
    balances = {row.account: row.balance for row in trial_balance(livemode=False, as_of=until)}
    owed = balances["2100"] - balances.get("2190", Decimal(0))
    return money.round_amount(balances["4200"], "USD"), money.round_amount(owed, "USD")


def estimated(**percents: str) -> None:
    """Breakage in proportion to use, with an approved rate from each day on (`on_2026_04_01`)."""
    factories.decide(Policy, breakage_method="PROPORTIONAL")
    for day, percent in percents.items():
        starts_on = date.fromisoformat(day.removeprefix("on_").replace("_", "-"))
        factories.decide(BreakageRate, kind="CASH", percent=Decimal(percent), starts_on=starts_on)


def test_the_cohort_of_10_000_over_its_year() -> None:
    """8 % are expected to stay unused, from April on 5 %; 700 do (docs/accounting.md#m3).

    Q1: 4,600 / 9,200 x 800 = 400.00. Q2: 6,900 / 9,500 x 500 = 363.16. Q3: 8,900 / 9,500 x 500 =
    468.42. Q4: 9,300 are used, the other 700 lapse.
    """
    estimated(on_2026_01_01="8", on_2026_04_01="5")
    user, idler = (
        sold("user", 9_300, expires_at=NEW_YEAR),
        sold("idler", 700, expires_at=NEW_YEAR),
    )
    quarters = [
        ("4600", START, date(2026, 3, 31)),
        ("2300", datetime(2026, 4, 2, tzinfo=UTC), date(2026, 6, 30)),
        ("2000", datetime(2026, 7, 2, tzinfo=UTC), date(2026, 9, 30)),
        ("400", datetime(2026, 10, 2, tzinfo=UTC), date(2026, 12, 31)),
    ]
    earned = [Decimal(0)]
    owed = []
    for used, at, until in quarters:
        advance(user, at)
        factories.body(factories.debit("user", used))
        if until == date(2026, 12, 31):
            advance(idler, NEW_YEAR)
        so_far, net = breakage_to_date(until)
        earned.append(so_far)
        owed.append(net)

    assert [after - before for before, after in pairwise(earned)] == [
        Decimal(text) for text in ("400.00", "-36.84", "105.26", "231.58")
    ]
    assert owed == [Decimal(text) for text in ("5000.00", "2736.84", "631.58", "0.00")]
    assert (factories.posted("2100"), factories.posted("2190")) == (0, 0)
    assert (-factories.posted("4000"), -factories.posted("4200")) == (9_300, 700)
    assert verification.verify().ok


def test_more_is_redeemed_than_was_expected() -> None:
    """100 sold, 10 expected unused: with 90 used, 10 are earned; with 95 used only 5 can still
    break, so 5 go back, and revenue is 100 in all (docs/accounting.md#m3).
    """
    estimated(on_2026_01_01="10")
    user = sold("user", 100, expires_at=NEW_YEAR)
    factories.debit("user", "90")
    expected = breakage_to_date(date(2026, 1, 31))
    advance(user, FEBRUARY)
    factories.debit("user", "5")

    capped = breakage_to_date(date(2026, 2, 28))

    assert (expected, capped) == ((10, 0), (5, 0))
    assert -factories.posted("4000") + -factories.posted("4200") == 100


class TestLateIntoAClosedMonth:
    """January is closed on 5 February with 10,000 tokens at .002 in it and a debit of 30.

    Then 2,500 tokens of 25 January arrive, and a debit of 40 that was made a second before January
    ended.
    """

    FEBRUARY_5 = datetime(2026, 2, 5, 9, tzinfo=UTC)
    LAST_SECOND = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)

    @pytest.fixture(autouse=True)
    def january(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._clock = monkeypatch
        self.it_is(START)
        factories.offering(livemode=True, billing_mode="POSTPAID")
        for key in ("metered", "payer"):
            factories.customer(key, livemode=True)
        subscribing.subscribe(livemode=True, customer_id="metered", offering="tokens_monthly")
        factories.top_up("payer", "100", livemode=True)
        self.it_is(datetime(2026, 1, 10, tzinfo=UTC))
        self.meter(10_000, "on time")
        self.debit("30")
        self.it_is(self.FEBRUARY_5)
        factories.person("ann")
        closing.close_period(month=JANUARY, by="ann", now=timezone.now(), clock=timezone.now)

    def it_is(self, moment: datetime) -> None:
        self._clock.setattr(timezone, "now", lambda: moment)

    def meter(self, quantity: int, name: str, at: datetime | None = None) -> None:
        event = factories.event("metered", quantity, name, at or timezone.now())
        outcome = ingest.ingest(livemode=True, events=[event], received_at=timezone.now())
        assert outcome.accepted == 1

    def debit(self, amount: str) -> Entry:
        request = engine.DebitRequest(customer_id="payer", key=amount, amount=Decimal(amount))
        (result,) = engine.execute([request], livemode=True)
        return Entry.objects.get(pk=factories.body(result)["entry"])

    def late_debit(self) -> Entry:
        self.it_is(self.LAST_SECOND)
        late = self.debit("40")
        self.it_is(self.FEBRUARY_5)
        return late

    def settle_february(self) -> Entry:
        """Meter another 500 tokens, and let the cycle end."""
        self.meter(500, "of February")
        self.it_is(MARCH + timedelta(hours=1))
        due_work.sweep(now=timezone.now(), clock=timezone.now)
        return Entry.objects.filter(event="SETTLEMENT").latest("sequence")

    def balances(self, until: date) -> dict[str, Decimal]:
        rows = trial_balance(livemode=True, as_of=until)
        return {row.account: row.balance for row in rows if row.balance}

    def late_items(self) -> list[tuple[object, ...]]:
        asked = reports.scope_of(livemode=True, now=timezone.now(), period="2026-02")
        with snapshot():
            found = list(reports.find("late-items").make(asked).rows)
        names = ("entry", "occurred_at", "accounting_date", "debit", "credit", "amount")
        return [tuple(row[name] for name in names) for row in found]

    def test_the_debit_keeps_its_moment_and_is_posted_in_february(self) -> None:
        late = self.late_debit()

        assert (late.occurred_at, late.accounting_date) == (self.LAST_SECOND, date(2026, 2, 1))
        assert self.late_items() == [
            (str(late.pk), self.LAST_SECOND, date(2026, 2, 1), "2100", "4000", 40)
        ]
        # January: 100 bought, 30 used, 20.00 metered; then 40 more.
        january = {"1010": 100, "1200": 20, "2100": 70, "4000": 30, "4020": 20}
        assert self.balances(date(2026, 1, 31)) == january
        february = {"1100": 20, "1200": 0, "2100": 30, "4000": 70}
        assert self.balances(date(2026, 2, 28)) == {
            code: amount for code, amount in (january | february).items() if amount
        }
        assert verification.verify().ok

    def test_the_usage_is_a_line_of_february_and_is_listed_as_late(self) -> None:
        """2,500 x .002 = 5.00 beside 500 x .002 = 1.00."""
        self.meter(2_500, "late", at=datetime(2026, 1, 25, tzinfo=UTC))

        settled = self.settle_february()

        lines = Invoice.objects.get(settlement__cycle=1).lines.order_by("position")
        assert [(line.kind, line.amount) for line in lines] == [("USAGE", 1), ("ADJUSTMENT", 5)]
        assert settled.accounting_date == date(2026, 2, 28)
        assert self.late_items() == [(str(settled.pk), FEBRUARY, date(2026, 2, 28), "", "", 5)]

    def test_january_stays_as_it_was_frozen(self) -> None:
        pack = {file.name: file for file in ClosePack.objects.get().files.all()}
        self.late_debit()
        self.meter(2_500, "late", at=datetime(2026, 1, 25, tzinfo=UTC))
        self.settle_february()

        scope = reports.scope_of(livemode=True, now=timezone.now(), period="2026-01")
        for name in closing.PACK:
            written = io.BytesIO()
            with snapshot():
                writing.write_csv(reports.find(name).make(scope), written, run_at=timezone.now())
            assert written.getvalue().decode() == pack[f"{name}.csv"].content, name
        assert ClosePack.objects.count() == 1

    def test_the_database_takes_no_entry_of_january(self) -> None:
        before = factories.everything()

        with pytest.raises(IntegrityError, match="closed"), transaction.atomic():
            sql(
                "INSERT INTO ledger_entry (id, book_id, event, sequence, occurred_at, recorded_at,"
                " accounting_date, document, hash, prev_hash) SELECT gen_random_uuid(), book_id,"
                " event, sequence + 50, occurred_at, recorded_at, '2026-01-31', document, hash,"
                " prev_hash FROM ledger_entry WHERE event = 'DEBIT'"
            )

        assert factories.everything() == before
