"""Summarised journals: rounded to the cent, balanced, never further than that from the books."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aforo import money
from aforo.errors import InvariantBroken
from ledger.exports import journals
from ledger.exports.journals import Journal, JournalLine, Sums, residue_key

D = Decimal
FIRST = date(2026, 1, 1)


def sums(
    account: str, debit: str = "0", credit: str = "0", day: int = 0, unit: str = "USD"
) -> Sums:
    return Sums(FIRST + timedelta(days=day), unit, account, D(debit), D(credit))


def test_a_bundle_fits_without_a_residue() -> None:
    """100 + 20 credits for 100.00: 83.333333333333 and 16.666666666667 are 83.33 and 16.67."""
    found = [sums("1010", "100"), sums("2100", credit="83.333333333333")]
    found.append(sums("2110", credit="16.666666666667"))

    (journal,), residues = journals.summarise(found, {})

    assert [(line.account, line.debit, line.credit) for line in journal.lines] == [
        ("1010", D("100.00"), 0), ("2100", 0, D("83.33")), ("2110", 0, D("16.67")),
    ]  # fmt: skip
    assert residues == {
        "2100|USD|credit": D("0.003333333333"), "2110|USD|credit": D("-0.003333333333"),
    }  # fmt: skip


def test_the_residue_goes_to_the_rounding_account() -> None:
    """0.006 against twice 0.003: a debit of 0.01 and no credit, so rounding is credited 0.01."""
    found = [sums("2100", "0.006"), sums("4000", credit="0.003"), sums("4010", credit="0.003")]

    (journal,), residues = journals.summarise(found, {})

    assert journal.lines == (
        JournalLine("2100", D("0.01"), D(0)), JournalLine("7900", D(0), D("0.01")),
    )  # fmt: skip
    assert residues == {
        "2100|USD|debit": D("-0.004"), "4000|USD|credit": D("0.003"), "4010|USD|credit": D("0.003"),
    }  # fmt: skip


def test_what_rounding_leaves_is_carried_to_the_next_day_and_batch() -> None:
    """0.004 a day: 0.00, 0.01, 0.00, 0.01, 0.00; the 0.02 of the books is 0.02 in the files."""
    found = [
        s
        for day in range(3)
        for s in (sums("2100", "0.004", day=day), sums("4000", credit="0.004", day=day))
    ]

    first, residues = journals.summarise(found, {})
    later = [
        s
        for day in (3, 4)
        for s in (sums("2100", "0.004", day=day), sums("4000", credit="0.004", day=day))
    ]
    second, left = journals.summarise(later, residues)

    assert [(j.day.day, j.lines[0].debit) for j in (*first, *second)] == [
        (2, D("0.01")), (4, D("0.01")),
    ]  # fmt: skip
    assert left == {}


def test_currencies_round_to_their_own_exponent_and_never_mix() -> None:
    found = [
        sums("2100", "100.4", unit="JPY"), sums("4000", credit="100.4", unit="JPY"),
        sums("2100", "0.0005", unit="KWD"), sums("4000", credit="0.0005", unit="KWD"),
        sums("2100", "1.005"), sums("4000", credit="1.005"),
    ]  # fmt: skip

    made, _ = journals.summarise(found, {})

    assert [(j.currency, j.lines[0].debit) for j in made] == [("JPY", 100), ("USD", D("1.00"))]


def test_receivables_and_cash_can_be_left_out() -> None:
    """A top-up of 100 and a payment of an invoice of 30: only the net 100 needs a counterpart."""
    found = [
        sums("1000", "30"), sums("1010", "100"), sums("1100", credit="30"),
        sums("2100", credit="100"),
    ]  # fmt: skip

    kept = journals.without_receivables_and_cash(found)

    assert kept == [sums("2100", credit="100"), sums(journals.CLEARING, "100")]
    assert journals.without_receivables_and_cash([found[0], found[2]]) == []


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
        journals.check(Journal(FIRST, "USD", tuple(lines)))


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
    found: dict[tuple[date, str, str], list[Decimal]] = {}
    for day, unit, debit, credit, amount in postings:
        for account, side in ((debit, 0), (credit, 1)):
            key = (FIRST + timedelta(days=day), unit, account)
            found.setdefault(key, [D(0), D(0)])[side] += amount
    return [Sums(*key, *sides) for key, sides in sorted(found.items())]


@given(batches=st.lists(posted, max_size=4))
def test_files_follow_the_books_to_half_a_cent_for_ever(
    batches: list[list[tuple[int, str, str, str, Decimal]]],
) -> None:
    carried: dict[str, Decimal] = {}
    exported: dict[str, Decimal] = {}
    exact: dict[str, Decimal] = {}
    for postings in batches:
        found = summed(postings)
        made, carried = journals.summarise(found, carried)
        for each in found:
            for side, amount in (("debit", each.debit), ("credit", each.credit)):
                key = residue_key(each.account, each.currency, side)
                exact[key] = exact.get(key, D(0)) + amount
        for journal in made:
            journals.check(journal)
            for line in journal.lines:
                assert money.round_amount(line.debit + line.credit, journal.currency) == (
                    line.debit + line.credit
                )
                side = "debit" if line.debit else "credit"
                key = residue_key(line.account, journal.currency, side)
                exported[key] = exported.get(key, D(0)) + line.debit + line.credit
    for key, amount in exact.items():
        account, currency, _ = key.split("|")
        half = D(1).scaleb(-money.exponent(currency)) / 2
        if account != journals.ROUNDING:
            assert abs(amount - exported.get(key, D(0))) <= half
            assert amount - exported.get(key, D(0)) == carried.get(key, D(0))
