"""The state that travels through the ten stages: what was read, and what each stage has found.
Pure.

Frozen: a stage returns a new one. Amounts are exact until Commit; from there on the document of a
HYBRID or POSTPAID cycle is rounded to the currency, a PREPAID one keeps the 12 places of the books
(docs/decisions.md#d11).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any
from uuid import UUID

from aforo.money import ZERO, plain, proportion
from aforo.periods import Period
from pricing.calculators import Step
from pricing.terms import Cap, Terms
from wallets.lots.cost_basis import remaining_carrying
from wallets.lots.waterfall import Allocation, Lot


@dataclass(frozen=True, slots=True)
class ChargeTerms:
    """A price of the plan, and the metrics that feed it with their weights."""

    code: str
    model: str
    terms: Terms
    feeds: tuple[tuple[str, Decimal], ...] = ()
    timing: str = "ARREARS"
    description: str = ""


@dataclass(frozen=True, slots=True)
class MetricUsage:
    """A metric's aggregate over the cycle, and the number of its events."""

    quantity: Decimal
    events: int


@dataclass(frozen=True, slots=True)
class CouponTerms:
    """A percentage (`percent`), or a fixed `amount`, off the charges that it is for; off all of the
    subtotal where it names none.
    """

    code: str
    percent: Decimal | None = None
    amount: Decimal | None = None
    charges: frozenset[str] = frozenset()
    period: int = 0
    """The paid period that it counts in."""


@dataclass(frozen=True, slots=True)
class CouponDiscount:
    """What a coupon took off a document."""

    coupon: CouponTerms
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Tax:
    """The rate of the customer's jurisdiction."""

    name: str
    percent: Decimal
    jurisdiction: str = ""
    parts: tuple[Tax, ...] = ()
    """The rates that it is the sum of, where there are several: each is rounded by itself."""
    on_top: bool = False
    """Whether it is levied on a net beside another rate."""
    evidence: tuple[tuple[str, str], ...] = ()
    """Why it is zero: the treatment, and the certificate or the number that it rests on."""

    @property
    def each(self) -> tuple[Tax, ...]:
        """Return the rates that a document states."""
        return self.parts or (self,)


@dataclass(frozen=True, slots=True)
class Taxed:
    """The net amount taxed by one rate, and its tax."""

    rate: Tax
    net: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Group:
    """The lines that one rate taxes in one way: on top of their prices, or inside them."""

    rate: Tax | None
    inside: bool = False


@dataclass(frozen=True, slots=True)
class GroupNet:
    """The net of a group after coupons, and the tax that was taken out of its prices, a part for
    each of its rates.
    """

    net: Decimal
    taken_out: tuple[Decimal, ...] = ()


@dataclass(frozen=True, slots=True)
class Overage:
    """What a wallet debit ran up beyond its credits: gross, with the tax of its moment inside."""

    debit: UUID
    amount: Decimal
    tax_rate: Tax | None = None


@dataclass(frozen=True, slots=True)
class LateAdjustment:
    """What a settled cycle owes more by usage that arrived after it was settled: net of that
    cycle's own discount.
    """

    settlement: UUID
    description: str
    amount: Decimal
    tax_rate: Tax | None = None
    """Of its own cycle."""


@dataclass(frozen=True, slots=True)
class CreditOwed:
    """What the customer is still owed, net, because late usage made a settled cycle cheaper."""

    id: UUID
    settlement: UUID
    description: str
    amount: Decimal
    tax_rate: Tax | None = None


@dataclass(frozen=True, slots=True)
class Consideration:
    """What was paid for a lot: `carrying` for its `face`, of which `remaining` is left; and whether
    a document has taxed it.
    """

    carrying: Decimal
    face: Decimal
    remaining: Decimal
    taxed_at_sale: bool = False

    def released_by(self, quantity: Decimal) -> Decimal:
        """Return the part that burning `quantity` releases."""
        before, after = (
            remaining_carrying(carrying=self.carrying, face=self.face, remaining=remaining)
            for remaining in (self.remaining, self.remaining - quantity)
        )
        return before - after

    def held_by(self, quantity: Decimal) -> Decimal:
        """Return what was paid for `quantity`, whatever is left of the lot."""
        return (
            quantity
            if self.carrying == self.face
            else proportion(self.carrying, quantity, self.face)
        )


@dataclass(frozen=True, slots=True)
class Demand:
    """The quantity that one charge prices: used, of which included, of which paid in units.

    `weighted` is the part of each metric in what was used.
    """

    charge: ChargeTerms
    weighted: Mapping[str, Decimal]
    events: int
    included: Decimal = ZERO
    from_units: Decimal = ZERO

    @property
    def used(self) -> Decimal:
        return sum(self.weighted.values(), ZERO)

    @property
    def billable(self) -> Decimal:
        return self.used - self.included - self.from_units


@dataclass(frozen=True, slots=True)
class CalculatedLine:
    """A line of the document; DISCOUNT is negative, so that lines sum to the total."""

    kind: str
    description: str
    amount: Decimal
    charge: str = ""
    quantity: Decimal | None = None
    unit_price: Decimal | None = None
    steps: tuple[Step, ...] = ()
    in_advance: bool = False
    """A fee of the cycle to come."""
    adjusts: UUID | None = None
    """The settled cycle that late usage belongs to."""
    credit: UUID | None = None
    """The credit owed for such a cycle that is used here."""


@dataclass(frozen=True, slots=True)
class Payer:
    """Who pays `gross` = `net` + `tax`: a lot's kind, INVOICE or ARREARS. The tax is that in the
    face of credits, of which as much is owed as was paid for them.
    """

    kind: str
    gross: Decimal
    net: Decimal
    tax: Decimal
    lot: UUID | None = None


@dataclass(frozen=True, slots=True)
class StageTrace:
    """A stage's inputs, its results, and the reasons."""

    stage: int
    title: str
    given: Mapping[str, str]
    found: Mapping[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Calculation:
    """A cycle that is being priced and settled; `changed` makes one of another."""

    # Read by load.
    currency: str
    billing_mode: str
    period: Period
    charges: tuple[ChargeTerms, ...] = ()
    usage: Mapping[str, MetricUsage] = field(default_factory=dict)
    served: Decimal = Decimal(1)
    """Served time over full time (`of_full`): a shorter first cycle includes less."""
    of_full: Decimal = Decimal(1)
    included_for: Decimal | None = None
    """The time, of the full time, for which quantity is included, if not the time served: what a
    fee in advance has paid for stays, also where the cycle is cut short."""
    caps: Mapping[str, Cap] = field(default_factory=dict)
    rolled_in: Mapping[str, Decimal] = field(default_factory=dict)
    minimum_spend: Decimal | None = None
    maximum_spend: Decimal | None = None
    coupons: tuple[CouponTerms, ...] = ()
    """In the order in which they are taken off."""
    tax_rate: Tax | None = None
    """Of the cycle itself, at its last instant."""
    ahead_tax_rate: Tax | None = None
    """Of fees in advance, at the first instant of the period that they are for."""
    tax_inclusive: bool = False
    """Whether the prices, the minimum and the maximum of the cycle contain the tax."""
    ahead_tax_inclusive: bool = False
    """Whether fees in advance do."""
    unit_lots: Mapping[str, tuple[Lot, ...]] = field(default_factory=dict)
    unit_orders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    considerations: Mapping[UUID, Consideration] = field(default_factory=dict)
    """Of the unit lots that were paid for in this currency, and of money lots; one that is not
    here was paid for at its face.
    """
    money_lots: tuple[Lot, ...] = ()
    kept_units: Mapping[str, tuple[Allocation, ...]] = field(default_factory=dict)
    kept_money: tuple[Allocation, ...] = ()
    """What lots that have lapsed since then paid for this cycle: they pay first, and the same."""
    money_order: tuple[str, ...] = ("PROMO", "BONUS", "CASH")
    overages: tuple[Overage, ...] = ()
    late: tuple[LateAdjustment, ...] = ()
    credits_owed: tuple[CreditOwed, ...] = ()
    forgiven: Decimal = ZERO
    """What captures of usage took beyond the credits there were, net: it is not billed here."""

    # Set by the stages.
    quotas: Mapping[str, Decimal] = field(default_factory=dict)
    demands: tuple[Demand, ...] = ()
    unit_burns: Mapping[str, tuple[Allocation, ...]] = field(default_factory=dict)
    lines: tuple[CalculatedLine, ...] = ()
    subtotal: Decimal = ZERO
    commitment: Decimal = ZERO
    discount: Decimal = ZERO
    discounts: tuple[CouponDiscount, ...] = ()
    """The discount by coupon."""
    discounted: Mapping[str, Decimal] | None = None
    """What coupons have left of each charge, and of lines without one under the empty code; None
    where every line bears the same share of the discount."""
    nets: Mapping[Group, GroupNet] | None = None
    """The net of what is no adjustment of settled cycles, where prices contain tax: lines,
    subtotal and discount are without it from there on."""
    tax: Decimal = ZERO
    taxes: tuple[Taxed, ...] = ()
    """The tax by rate, in the order of the lines."""
    bonus: Decimal = ZERO
    """Of the tax at the face of credits, the part that is not owed: nothing was paid for it."""
    bonus_residue: Decimal = ZERO
    """What rounding the tax took off the bonus."""
    rounding: Decimal = ZERO
    total: Decimal = ZERO
    money_burns: tuple[Allocation, ...] = ()
    payers: tuple[Payer, ...] = ()
    from_wallet: Mapping[str, Decimal] = field(default_factory=dict)
    to_invoice: Decimal = ZERO
    arrears: Decimal = ZERO
    trace: tuple[StageTrace, ...] = ()

    @property
    def is_rounded(self) -> bool:
        """Return whether the document is rounded to the currency."""
        return self.billing_mode != "PREPAID"

    def may_pay(self, order: Sequence[str]) -> tuple[str, ...]:
        """Return the kinds of a burn order that pay here: POSTPAID has no cash step
        (docs/decisions.md#d34).
        """
        is_postpaid = self.billing_mode == "POSTPAID"
        return tuple(kind for kind in order if not (is_postpaid and kind == "CASH"))

    @property
    def in_advance(self) -> Decimal:
        """Return the amount of the lines for the next cycle."""
        return sum((line.amount for line in self.lines if line.in_advance), ZERO)

    @property
    def adjusted(self) -> Decimal:
        """Return the amount of the lines for settled cycles."""
        return sum((line.amount for line in self.lines if line.adjusts is not None), ZERO)

    @property
    def credited(self) -> Decimal:
        """Return how much the credits owed for settled cycles lower the subtotal."""
        return -sum((line.amount for line in self.lines if line.credit is not None), ZERO)

    @property
    def net_arrears(self) -> Decimal:
        """Return the arrears without their tax."""
        return sum((payer.net for payer in self.payers if payer.kind == "ARREARS"), ZERO)

    @property
    def overage(self) -> Decimal:
        """Return what debits ran up, with the tax inside."""
        return sum((overage.amount for overage in self.overages), ZERO)


_NAMES = frozenset(each.name for each in fields(Calculation))


def changed(draft: Calculation, **values: Any) -> Calculation:
    """Return a calculation with other values in some fields. `dataclasses.replace` sets all of its
    forty anew, which took longer than most stages do.
    """
    assert values.keys() <= _NAMES, "these are fields of a calculation"
    made = object.__new__(Calculation)
    vars(made).update(vars(draft), **values)
    return made


def traced(
    draft: Calculation,
    title: str,
    *,
    given: Mapping[str, Decimal],
    found: Mapping[str, Decimal],
    notes: list[str],
) -> Calculation:
    """Return the calculation with a stage's trace added, in readable numbers."""
    trace = StageTrace(
        stage=len(draft.trace) + 1,
        title=title,
        given={name: plain(value) for name, value in given.items()},
        found={name: plain(value) for name, value in found.items()},
        notes=tuple(notes),
    )
    return changed(draft, trace=(*draft.trace, trace))
