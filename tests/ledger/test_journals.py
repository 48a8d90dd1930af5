"""Each event has its journal, as docs/accounting.md#events has it; every sum by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest

from ledger import posting_rules
from ledger.posting_rules import LotPart, PostingLine, allowed_pairs
from tests.ledger.postings import LOT, Short, short


def part(carrying: str, kind: str = "CASH") -> LotPart:
    return LotPart(kind, "TOP_UP", Decimal(carrying), LOT)


# What the product can do, by the event under which it is appended; every sum by hand.
EVENTS: list[tuple[str, list[PostingLine], Short]] = [
    (
        "TOP_UP",
        posting_rules.sale_taxed(tax=Decimal(20), currency="USD", paid_into="1010"),
        [("1010", "2300", "20")],
    ),
    # Taxed at use, 50 gross at 25 % on top: 10 of it are tax; 15 pay the month to come.
    (
        "SETTLEMENT",
        posting_rules.burn(
            kind="CASH",
            source="TOP_UP",
            carrying=Decimal(50),
            currency="USD",
            lot=LOT,
            tax=Decimal(10),
            advance_fee=Decimal(15),
        ),
        [("2100", "4000", "25"), ("2100", "2120", "15"), ("2100", "2300", "10")],
    ),
    # 100 lapse: 20 belong to the state, 30 were recognised before, 50 are breakage now.
    (
        "EXPIRY",
        posting_rules.expiry(
            kind="CASH",
            source="TOP_UP",
            carrying=Decimal(100),
            currency="USD",
            lot=LOT,
            accrued=Decimal(30),
            unclaimed=Decimal(20),
        ),
        [("2100", "2400", "20"), ("2100", "2190", "30"), ("2100", "4200", "50")],
    ),
    (
        "REVERSAL",
        posting_rules.returned(
            kind="CASH",
            source="TOP_UP",
            carrying=Decimal(12),
            currency="USD",
            lot=LOT,
            tax=Decimal(2),
        ),
        [("4000", "2100", "10"), ("2300", "2100", "2")],
    ),
    # 100 + 20 for 100.00, 8 bonus burned, 50 refunded: the bonus due is 10 (docs/decisions.md#d30).
    (
        "REFUND",
        [
            line
            for kind, carrying in (("CASH", "41.67"), ("BONUS", "8.33"))
            for line in posting_rules.credits_refunded(
                kind=kind,
                source="TOP_UP",
                carrying=Decimal(carrying),
                currency="USD",
                lot=LOT,
                paid_from="1010",
            )
        ],
        [("2100", "1010", "41.67"), ("2110", "1010", "8.33")],
    ),
    (
        "REFUND",
        posting_rules.refund_rounded(residue=Decimal("0.004"), currency="USD", paid_from="1010"),
        [("1010", "7900", "0.004")],
    ),
    # What was paid beyond the consideration, by bank.
    (
        "REFUND",
        posting_rules.refund_rounded(residue=Decimal("-0.004"), currency="USD", paid_from="1000"),
        [("7900", "1000", "0.004")],
    ),
    # An earlier refund kept 0.004 by rounding, which the bank takes with the rest.
    (
        "DISPUTE",
        posting_rules.dispute_lost(
            unused=[part("50")], earned=Decimal(0), currency="USD", kept=Decimal("0.004")
        ),
        [("2100", "1020", "50"), ("7900", "1020", "0.004")],
    ),
    (
        "DISPUTE",
        posting_rules.dispute_opened(amount=Decimal(100), currency="USD", paid_into="1010"),
        [("1020", "1010", "100")],
    ),
    (
        "DISPUTE",
        posting_rules.dispute_won(amount=Decimal(100), currency="USD", paid_into="1010"),
        [("1010", "1020", "100")],
    ),
    # The processor asks 15, and gives 5 of it back.
    (
        "DISPUTE",
        posting_rules.dispute_fee(change=Decimal(15), currency="USD", paid_into="1010"),
        [("6300", "1010", "15")],
    ),
    (
        "DISPUTE",
        posting_rules.dispute_fee(change=Decimal(-5), currency="USD", paid_into="1010"),
        [("1010", "6300", "5")],
    ),
    # Of 100 paid, 60 are unused; 40 were earned and are lost.
    (
        "DISPUTE",
        posting_rules.dispute_lost(
            unused=[part("50"), part("10", "BONUS")],
            earned=Decimal(40),
            currency="USD",
        ),
        [("2100", "1020", "50"), ("2110", "1020", "10"), ("4940", "1020", "40")],
    ),
    (
        "OPENING_BALANCE",
        posting_rules.opening_balance(
            kind="BONUS", source="OPENING", carrying=Decimal(7), currency="USD", lot=LOT
        ),
        [("3900", "2110", "7")],
    ),
    (
        "USAGE_ACCRUED",
        posting_rules.unbilled_accrued(usage=Decimal(12), fees=Decimal(0), currency="USD"),
        [("1200", "4020", "12")],
    ),
    (
        "USAGE_ACCRUED",
        posting_rules.unbilled_accrued(usage=Decimal(-5), fees=Decimal(2), currency="USD"),
        [("4020", "1200", "5"), ("1200", "4030", "2")],
    ),
    (
        "SETTLEMENT",
        posting_rules.usage_uncovered(
            net=Decimal(100),
            fees=Decimal(20),
            commitment=Decimal(10),
            advance_fees=Decimal(30),
            currency="USD",
        ),
        [
            ("1200", "4020", "40"),
            ("1200", "4030", "20"),
            ("1200", "4040", "10"),
            ("1200", "2120", "30"),
        ],
    ),
    (
        "FEE_RECOGNISED",
        posting_rules.fee_earned(amount=Decimal(3), currency="USD"),
        [("2120", "4030", "3")],
    ),
    # 108 are due, 110 arrive.
    (
        "PAYMENT",
        posting_rules.payment_received(amount=Decimal(108), surplus=Decimal(2), currency="USD"),
        [("1000", "1100", "108"), ("1000", "2220", "2")],
    ),
    (
        "PAYMENT",
        posting_rules.surplus_applied(amount=Decimal(2), currency="USD"),
        [("2220", "1100", "2")],
    ),
    # A note over 60 gross at 20 %, the invoice unpaid: 20 of the fee is not yet earned.
    (
        "CREDIT_NOTE",
        posting_rules.credit_note(
            earned=Decimal(30), unearned_fees=Decimal(20), tax=Decimal(10), currency="USD"
        ),
        [("2120", "1100", "20"), ("2300", "1100", "10"), ("4910", "1100", "30")],
    ),
    # The same, the invoice paid: the customer keeps it as credit, which pays a later invoice.
    (
        "CREDIT_NOTE",
        posting_rules.credit_note(
            earned=Decimal(50),
            tax=Decimal(10),
            currency="USD",
            given_to=posting_rules.CUSTOMER_CREDIT,
        ),
        [("2300", "2210", "10"), ("4910", "2210", "50")],
    ),
    # The invoice paid, and the money goes back: owed first, or at once.
    *(
        (
            "CREDIT_NOTE",
            posting_rules.credit_note(
                earned=Decimal(50), tax=Decimal(10), currency="USD", given_to=account
            ),
            [("2300", account, "10"), ("4910", account, "50")],
        )
        for account in ("2200", "1000")
    ),
    (
        "CREDIT_NOTE",
        posting_rules.customer_credit_applied(amount=Decimal(60), currency="USD"),
        [("2210", "1100", "60")],
    ),
    # Credits sold on account and never paid: 70 unused are taken back, 30 were earned.
    (
        "WRITE_OFF",
        posting_rules.write_off(
            earned=Decimal(30), tax=Decimal(6), unused=[part("70")], currency="USD"
        ),
        [("2100", "1100", "70"), ("1150", "1100", "30"), ("2300", "1100", "6")],
    ),
    (
        "BREAKAGE_ACCRUED",
        posting_rules.breakage_accrued(kind="CASH", change=Decimal(400), currency="USD"),
        [("2190", "4200", "400")],
    ),
    (
        "BREAKAGE_ACCRUED",
        posting_rules.breakage_accrued(kind="BONUS", change=Decimal("-36.84"), currency="USD"),
        [("4210", "2190", "36.84")],
    ),
]


@pytest.mark.parametrize(("event", "lines", "expected"), EVENTS)
def test_each_event_has_its_journal(event: str, lines: list[PostingLine], expected: Short) -> None:
    assert short(lines) == expected
    allowed_pairs.check(event, lines)
