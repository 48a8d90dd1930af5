"""Which account pairs an event may move: a balanced entry can still be wrong
(docs/accounting.md#pairs). Pure.

`check` is asked before anything is appended. Control accounts equal what documents and lots say,
so nobody posts to them by hand: a correction of credits goes through the wallets, one of a
receivable through its documents.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Final

from aforo.errors import InvariantBroken
from ledger.posting_rules.parts import LOT_LIABILITIES, PostingLine

Pairs = frozenset[tuple[str, str]]

NOTHING: Final[Pairs] = frozenset()
CONTROL: Final = frozenset({"1100", "1200", *LOT_LIABILITIES, "2190"})


def _pairs(debited: Iterable[str], credited: Iterable[str]) -> Pairs:
    return frozenset(pair for pair in product(debited, credited) if pair[0] != pair[1])


def _mirror(pairs: Pairs) -> Pairs:
    return frozenset((credit, debit) for debit, credit in pairs)


_MONEY = ("1000", "1010")
_BURN: Pairs = frozenset(
    {("2100", "4000"), ("2110", "4010"), ("2130", "4000")}
    | _pairs(LOT_LIABILITIES, ("2120", "2300"))
    | _pairs(("4900", "4901", "4930"), ("2300",))
)
_LAPSE: Pairs = frozenset(
    {("2100", "4200"), ("2110", "4210"), ("2130", "4930")}
    | _pairs(("2100", "2110"), ("2190", "2400"))
)
_UNCOVERED: Pairs = frozenset(
    _pairs(("1200",), ("4020", "4030", "4040", "2120", "7900")) | {("7900", "1200")}
)
_USAGE = frozenset({("1200", "4020"), ("4020", "1200")})
_FEE = frozenset({("2120", "4030"), ("4030", "2120")})
_INVOICE = _pairs(("1100",), ("1200", "2120", "2300"))
_NOTE = _pairs((*LOT_LIABILITIES, "2120", "4910", "2300"), ("1100", "2200", "2210", *_MONEY))
_APPLIED = _pairs(("2210", "2220"), ("1100",))
_BURNED = _BURN | _USAGE

_REVENUE = ("4000", "4010", "4020", "4030", "4040", "4100", "4200", "4210")
_CONTRA = ("4900", "4901", "4910", "4920", "4930", "4940")
_OWED = ("2120", "2200", "2210", "2220", "2300", "2400")

# What a correction by hand may move, by its reason.
MANUAL: Final[dict[str, Pairs]] = {
    "BILLING_ERROR": _pairs((*_REVENUE, *_CONTRA, *_OWED), (*_REVENUE, *_CONTRA, *_OWED)),
    "PROCESSOR": _pairs(("6100", "6300", "1000"), ("1010",))
    | _pairs(("1010",), ("1000", "6100", "6300")),
    "REMITTANCE": _pairs(("2200", "2210", "2220", "2300", "2400"), _MONEY),
    "CREDIT_LOSS": frozenset({("6200", "1150"), ("1150", "6200"), ("1150", "6210")})
    | _pairs(_MONEY, ("6210", "1150")),
    "EXCHANGE": _pairs(("7100", "7110"), (*_MONEY, *_OWED))
    | _pairs((*_MONEY, *_OWED), ("7100", "7110")),
    "MIGRATION": _pairs(("3900",), (*_MONEY, "1150", *_OWED))
    | _pairs((*_MONEY, "1150", *_OWED), ("3900",)),
    "UNEXPLAINED": _pairs(("7900",), (*_MONEY, *_OWED)) | _pairs((*_MONEY, *_OWED), ("7900",)),
}

RULES: Final[dict[str, Pairs]] = {
    "GRANT": frozenset({("4930", "2130"), ("2120", "2100"), ("2120", "2110")}),
    # From 2220 where credits on account were held back until their invoice was paid.
    "TOP_UP": _pairs((*_MONEY, "1100", "2220"), ("2100", "2110", "2300")),
    "DEBIT": _BURNED,
    "HOLD": NOTHING,
    # What is released, captured or returned after its lot expired lapses at once.
    "CAPTURE": _BURNED | _LAPSE,
    "RELEASE": _LAPSE,
    "REVERSAL": _mirror(_BURNED) | _LAPSE,
    "EXPIRY": _LAPSE,
    "ROLLOVER": NOTHING,
    "REFUND": _pairs((*LOT_LIABILITIES, "4920"), (*_MONEY, "2200"))
    | _pairs(_MONEY, ("7900",))
    | _pairs(("7900",), _MONEY),
    "DISPUTE": _pairs((*LOT_LIABILITIES, "4940", "7900"), ("1020",))
    | {("1020", "7900"), ("1020", "1010"), ("1010", "1020"), ("6300", "1010")},
    "ADJUSTMENT": _BURN
    | _mirror(_BURN)
    | _UNCOVERED
    | _mirror(_UNCOVERED)
    | _NOTE
    | _LAPSE
    | {("4020", "2200")},
    "USAGE_BURNED": _BURN | _mirror(_BURN),
    "SETTLEMENT": _BURN
    | _mirror(_BURN)
    | _UNCOVERED
    | _mirror(_UNCOVERED)
    | _LAPSE
    | _FEE
    | {("2200", "1200")},
    "USAGE_ACCRUED": _USAGE,
    "FEE_RECOGNISED": _FEE,
    "BREAKAGE_ACCRUED": _pairs(("2190",), ("4200", "4210")) | _pairs(("4200", "4210"), ("2190",)),
    "INVOICE": _INVOICE | _APPLIED | _USAGE,
    "PAYMENT": _pairs(_MONEY, ("1100", "2220")) | _APPLIED,
    "CREDIT_NOTE": _NOTE | _mirror(_INVOICE) | _APPLIED | _pairs(("2200",), ("1100", "2210")),
    "WRITE_OFF": _pairs((*LOT_LIABILITIES, "2120", "1150", "2300"), ("1100",)),
    "MANUAL": frozenset().union(*MANUAL.values()),
    "OPENING_BALANCE": _pairs(("3900",), LOT_LIABILITIES),
}


def check(event: str, lines: Iterable[PostingLine]) -> None:
    """Check that an event may move the accounts of its lines.

    Raises: InvariantBroken.
    """
    allowed = RULES[event]
    for line in lines:
        if (line.debit, line.credit) not in allowed:
            raise InvariantBroken(f"{event} never moves {line.debit} / {line.credit}.")
