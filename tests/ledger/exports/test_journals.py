"""Summarised journals: rounded to the cent, balanced, never further from the books than that."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aforo import money
from aforo.errors import InvariantBroken
from ledger.exports import journals
from ledger.exports.journals import JournalLine, SummaryJournal, Sums

D = Decimal
FIRST = date(2026, 1, 1)


def moved(pair: str, amount: str, day: int = 0, unit: str = "USD") -> Sums:
    debit, credit = pair.split(">")
    return Sums(FIRST + timedelta(days=day), unit, debit, credit, D(amount))


def test_a_bundle_fits_without_a_residue() -> None:
    """100 + 20 credits for 100.00: 83.333333333333 and 16.666666666667 are 83.33 and 16.67."""
    found = [moved("1010>2100", "83.333333333333"), moved("1010>2110", "16.666666666667")]

    (journal,), residues = journals.summarise(found, {})

    assert [(line.account, line.debit, line.credit) for line in journal.lines] == [
        ("1010", D("100.00"), 0), ("2100", 0, D("83.33")), ("2110", 0, D("16.67")),
    ]  # fmt: skip
    assert residues == {
        "1010>2100|USD": D("0.003333333333"), "1010>2110|USD": D("-0.003333333333"),
    }  # fmt: skip


def test_receivables_stand_by_customer() -> None:
    found = [
        Sums(FIRST, "USD", "1100", "1200", D("10.00"), "acme"),
        Sums(FIRST, "USD", "1100", "1200", D("5.004"), "beta"),
    ]

    (journal,), residues = journals.summarise(found, {})

    assert journal.lines == (
        JournalLine("1100", D("10.00"), D(0), "acme"),
        JournalLine("1100", D("5.00"), D(0), "beta"),
        JournalLine("1200", D(0), D("15.00")),
    )
    assert residues == {"1100>1200|USD|beta": D("0.004")}


def test_each_pair_of_accounts_balances_by_itself() -> None:
    """Twice 0.003 from one account is nothing yet; 0.006 is 0.01 on both sides."""
    found = [moved("2100>4000", "0.003"), moved("2100>4010", "0.003"), moved("2110>4010", "0.006")]

    (journal,), residues = journals.summarise(found, {})

    assert journal.lines == (
        JournalLine("2110", D("0.01"), D(0)), JournalLine("4010", D(0), D("0.01")),
    )  # fmt: skip
    assert residues == {
        "2100>4000|USD": D("0.003"), "2100>4010|USD": D("0.003"), "2110>4010|USD": D("-0.004"),
    }  # fmt: skip


def test_what_rounding_leaves_is_carried_to_the_next_day_and_batch() -> None:
    """0.004 a day: 0.00, 0.01, 0.00, 0.01, 0.00; the 0.02 of the books is 0.02 in the files."""
    first, residues = journals.summarise([moved("2100>4000", "0.004", day) for day in range(3)], {})
    second, left = journals.summarise(
        [moved("2100>4000", "0.004", day) for day in (3, 4)], residues
    )

    assert [(j.day.day, j.lines[0].debit) for j in (*first, *second)] == [
        (2, D("0.01")), (4, D("0.01")),
    ]  # fmt: skip
    assert left == {}


def test_half_cents_in_a_row_are_not_each_rounded_up() -> None:
    """0.005 a day: 0.01, 0.00, 0.01, 0.00; day by day it would be 0.04 of 0.02."""
    made, left = journals.summarise([moved("2100>4000", "0.005", day) for day in range(4)], {})

    assert [(j.day.day, j.lines[0].debit) for j in made] == [(1, D("0.01")), (3, D("0.01"))]
    assert left == {}


def test_currencies_round_to_their_own_exponent_and_never_mix() -> None:
    found = [
        moved("2100>4000", "100.5", unit="JPY"), moved("2100>4000", "0.0005", unit="KWD"),
        moved("2100>4000", "1.005"),
    ]  # fmt: skip

    made, _ = journals.summarise(found, {})

    assert [(j.currency, j.lines[0].debit) for j in made] == [
        ("JPY", 101), ("KWD", D("0.001")), ("USD", D("1.01")),
    ]  # fmt: skip


def test_receivables_and_cash_can_be_left_out() -> None:
    """A top-up of 100, a refund of 5 and a payment of an invoice of 30: only the net 95 of the
    credits needs a counterpart.
    """
    found = [moved("1000>1100", "30"), moved("1010>2100", "100"), moved("2100>1010", "5")]

    kept = journals.without_receivables_and_cash(found)

    assert kept == [
        moved(f"{journals.CLEARING}>2100", "100"), moved(f"2100>{journals.CLEARING}", "5"),
    ]  # fmt: skip
    (journal,), _ = journals.summarise(kept, {})
    assert journal.lines == (
        JournalLine("2100", D(5), D(0)), JournalLine("2100", D(0), D(100)),
        JournalLine(journals.CLEARING, D(95), D(0)),
    )  # fmt: skip
    assert journals.without_receivables_and_cash(found[:1]) == []


@pytest.mark.parametrize(
    "lines",
    [
        [JournalLine("1010", D(1), D(0))],
        [JournalLine("1010", D(1), D(1))],
        [JournalLine("1010", D(0), D(0))],
        [JournalLine("1010", D(-1), D(0)), JournalLine("2100", D(0), D(-1))],
    ],
)
def test_a_journal_that_does_not_balance_never_ships(lines: list[JournalLine]) -> None:
    with pytest.raises(InvariantBroken):
        journals.check(SummaryJournal(FIRST, "USD", tuple(lines)))


amounts = st.decimals(min_value=0, max_value=1000, places=12, allow_nan=False)
posted = st.lists(
    st.tuples(
        st.integers(0, 5), st.sampled_from(["USD", "JPY", "KWD"]),
        st.sampled_from(["1010", "1100", "1200"]), st.sampled_from(["2100", "4000", "7900"]),
        amounts,
    ),
    max_size=40,
)  # fmt: skip


def summed(postings: list[tuple[int, str, str, str, Decimal]]) -> list[Sums]:
    found: dict[tuple[date, str, str, str], Decimal] = {}
    for day, unit, debit, credit, amount in postings:
        key = (FIRST + timedelta(days=day), unit, debit, credit)
        found[key] = found.get(key, D(0)) + amount
    return [Sums(*key, amount) for key, amount in sorted(found.items())]


@given(batches=st.lists(posted, max_size=4))
def test_files_hold_what_one_file_would_however_often_they_are_made(
    batches: list[list[tuple[int, str, str, str, Decimal]]],
) -> None:
    """Of a pair of accounts what was exported is what was posted, rounded once; so an account's
    sides are the sums of its pairs, and the cents never come to more than one rounding a pair.
    """
    carried: dict[str, Decimal] = {}
    exported: dict[tuple[str, str, str], Decimal] = {}
    exact: dict[tuple[str, str, str], Decimal] = {}
    for postings in batches:
        found = summed(postings)
        made, carried = journals.summarise(found, carried)
        for each in found:
            pair = (each.debit, each.credit, each.currency)
            exact[pair] = exact.get(pair, D(0)) + each.amount
        for journal in made:
            journals.check(journal)
            for line in journal.lines:
                assert money.is_payable(line.debit + line.credit, journal.currency)
                side = "debit" if line.debit else "credit"
                key = (line.account, side, journal.currency)
                exported[key] = exported.get(key, D(0)) + line.debit + line.credit
    expected: dict[tuple[str, str, str], Decimal] = {}
    for (debit, credit, currency), amount in exact.items():
        whole = money.round_amount(amount, currency)
        for key in ((debit, "debit", currency), (credit, "credit", currency)):
            expected[key] = expected.get(key, D(0)) + whole
    assert exported == {key: amount for key, amount in expected.items() if amount}
