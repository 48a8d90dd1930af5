"""What must hold whatever happens (docs/accounting.md#invariants), on the pure arithmetic and the
journal of events.

A bundle lives its life in any order of burns, returns, refunds, accruals and lapses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from ledger import posting_rules
from ledger.controls.breakage import Cohort, accrued
from ledger.posting_rules import PostingLine
from wallets.lots.cost_basis import PurchasePart, allocate, remaining_carrying

ZERO = Decimal(0)
PAID = Decimal(100)
REVENUE = ("4000", "4010", "4200", "4210")

faces = st.integers(1, 10**6).map(Decimal)
# What happens to which lot, and to how much of it, in thousandths of what it has or lacks.
steps = st.lists(
    st.tuples(
        st.sampled_from(["burn", "return", "refund", "accrue"]),
        st.integers(0, 2),
        st.integers(1, 1000),
    ),
    max_size=12,
)
percents = st.integers(0, 99).map(Decimal)


@dataclass
class Lot:
    """A lot as the wallets keep it, and what its events have posted."""

    kind: str
    face: Decimal
    carrying: Decimal
    id: UUID
    remaining: Decimal = ZERO
    burned: Decimal = ZERO
    lines: list[PostingLine] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.remaining = self.face

    @property
    def carries(self) -> Decimal:
        return remaining_carrying(carrying=self.carrying, face=self.face, remaining=self.remaining)

    def moved(self, account: str) -> Decimal:
        """Sum an account's credits less its debits, in this lot's lines."""
        credited = sum((x.amount for x in self.lines if x.credit == account), ZERO)
        return credited - sum((x.amount for x in self.lines if x.debit == account), ZERO)

    def change(self, quantity: Decimal) -> Decimal:
        """Change what remains; give the consideration that this releases."""
        before = self.carries
        self.remaining -= quantity
        return before - self.carries

    def step(self, what: str, share: int, percent: Decimal) -> None:
        terms = {"kind": self.kind, "source": "TOP_UP", "currency": "USD", "lot": self.id}
        part = Decimal(share) / 1000
        match what:
            case "burn" if self.remaining > 0:
                quantity = (self.remaining * part).quantize(Decimal("0.001"))
                self.burned += quantity
                self.lines += posting_rules.burn(**terms, carrying=self.change(quantity))  # type: ignore[arg-type]
            case "return" if self.burned > 0:
                quantity = (self.burned * part).quantize(Decimal("0.001"))
                self.burned -= quantity
                self.lines += posting_rules.returned(**terms, carrying=-self.change(-quantity))  # type: ignore[arg-type]
            case "refund" if self.remaining > 0:
                quantity = (self.remaining * part).quantize(Decimal("0.001"))
                carrying = self.change(quantity)
                self.lines += posting_rules.credits_refunded(
                    **terms,  # type: ignore[arg-type]
                    carrying=carrying,
                    paid_from=posting_rules.CLEARING,
                )
            case "accrue":
                cohort = Cohort(self.carrying - self.moved("1010"), self.recognised)
                target = accrued(cohort, percent=percent)
                self.lines += posting_rules.breakage_accrued(
                    kind=self.kind, change=target + self.moved("2190"), currency="USD", lot=self.id
                )

    @property
    def recognised(self) -> Decimal:
        return self.moved("4010" if self.kind == "BONUS" else "4000")

    def lapse(self) -> None:
        released = self.change(self.remaining)
        before = min(-self.moved("2190"), released)
        self.lines += posting_rules.expiry(
            kind=self.kind, source="TOP_UP", carrying=released, currency="USD", lot=self.id,
            accrued=before,
        )  # fmt: skip
        rest = -self.moved("2190")
        self.lines += posting_rules.breakage_accrued(
            kind=self.kind, change=-rest, currency="USD", lot=self.id
        )


def bundle(cash: Decimal, bonus: Decimal, promo: Decimal, unused: Decimal) -> list[Lot]:
    parts = [PurchasePart(cash), PurchasePart(bonus, unused_percent=unused)]
    shares = [*allocate(PAID, parts), ZERO]
    kinds = [("CASH", cash), ("BONUS", bonus), ("PROMO", promo)]
    return [
        Lot(kind, face, share, UUID(int=n))
        for n, ((kind, face), share) in enumerate(zip(kinds, shares, strict=True))
    ]


@given(cash=faces, bonus=faces, promo=faces, unused=percents, happened=steps, percent=percents)
def test_a_bundle_earns_what_was_paid_less_what_was_refunded(
    cash: Decimal,
    bonus: Decimal,
    promo: Decimal,
    unused: Decimal,
    happened: list[tuple[str, int, int]],
    percent: Decimal,
) -> None:
    """Whatever the burn order, the estimates or the method (docs/accounting.md#i2 to #i6)."""
    lots = bundle(cash, bonus, promo, unused)
    for what, which, share in happened:
        lot = lots[which]
        lot.step(what, share, percent)
        account = posting_rules.liability(kind=lot.kind, source="TOP_UP")
        assert lot.carrying + lot.moved(account) == lot.carries >= 0
        assert -lot.moved("2190") >= 0
    for lot in lots:
        lot.lapse()
        assert lot.moved("2190") == 0

    earned = sum((lot.moved(account) for lot in lots for account in REVENUE), ZERO)
    refunded = sum((lot.moved("1010") for lot in lots), ZERO)
    assert earned == PAID - refunded
    assert lots[2].lines == []
