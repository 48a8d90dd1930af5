"""Rerating: settled cycles for which usage arrived late are rated again, by their own terms.

What a cycle owes more is a line of the next document; the unit credits of its time that are still
alive pay for it first. What it owes less is returned when it is found: open arrears are lowered,
credits return to their lots, and what was invoiced is owed to the customer until a document uses it
or the subscription ends.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import F, Q

from aforo import money
from aforo.money import ZERO, plain
from aforo.periods import Period
from billing import calculation
from billing.calculation import advance
from billing.calculation.calculation import Calculation, LateAdjustment, MetricUsage, Tax
from billing.calculation.correction import give_back as spread
from billing.calculation.stages.allowance import units_needed
from billing.invoicing.tax_provider import tax_rate_of
from billing.models import CycleBurn, Invoice, Settlement
from billing.settlement import bearers, cycle_burns, late_credits, load
from billing.settlement.late_usage import Late, read_late
from ledger import posting_rules
from ledger.models import Book, LedgerEvent
from wallets.lots import queries
from wallets.lots.credit_journal import CreditJournal
from wallets.lots.credit_journal import EntryBuilder as EntryDraft
from wallets.lots.waterfall import Allocation, Lot, allocate
from wallets.models import CreditLot

Usage = Mapping[str, MetricUsage]
Burns = Mapping[UUID, CycleBurn]


@dataclass(frozen=True, slots=True)
class Rerated:
    """A settled cycle, the net change by usage that arrived since and is not billed yet, and the
    change of its unit lots' burns.
    """

    cycle: Settlement
    change: Decimal
    units: Mapping[UUID, Decimal] = field(default_factory=dict)

    @property
    def period(self) -> str:
        return f"{self.cycle.starts_at:%Y-%m-%d} to {self.cycle.ends_at:%Y-%m-%d}"

    @property
    def gives_back(self) -> bool:
        return self.change < 0 or any(change < 0 for change in self.units.values())

    @property
    def tax_rate(self) -> Tax | None:
        contract = self.cycle.subscription
        return tax_rate_of(
            contract.customer, load.tax_point(self.cycle), contract.version.tax_class
        )


@dataclass(slots=True)
class _Units:
    """The unit lots that may pay, and the free part of each, less what was allocated."""

    lots: Sequence[CreditLot]
    free: dict[UUID, Decimal]

    def of(self, metric: str, cycle: Settlement) -> list[Lot]:
        """Return the lots of a metric that lived in a cycle, as the waterfall sees them."""
        return [
            replace(queries.seen_by_waterfall(lot), available=self.free[lot.id])
            for lot in self.lots
            if _metric_of(lot) == metric and load.pays_for_cycle(lot, cycle.counted_until)
        ]


def begin(
    *, book: Book, found: Sequence[Late], settlement: Settlement, lives_until: datetime
) -> list[Rerated]:
    """Rate again, the oldest first, the cycles for which usage had arrived before `settlement`'s
    cycle was sealed, and return what they owe less; paid lots that have lapsed live on until
    `lives_until`. The book must be locked.
    """
    if not found:
        return []
    rerated = rerate(book=book, found=found, cycle=settlement)
    for each in rerated:
        if each.gives_back:
            _give_back(book, each, settlement.ends_at, lives_until)
    return rerated


def rerate(*, book: Book, found: Sequence[Late], cycle: Settlement) -> list[Rerated]:
    """Rate settled cycles again for late usage that the document of a later `cycle` will have.
    Writes nothing; the book must be locked.
    """
    if not found:
        return []
    units = _alive_units(book, cycle, cycle.ends_at)
    return [_rerate(book, late, units) for late in found]


def _rerate(book: Book, late: Late, units: _Units) -> Rerated:
    cycle = late.cycle
    cycle.refresh_from_db(fields=["late_adjusted", "arrears", "arrears_tax", "arrears_paid"])
    burned = cycle_burns.by_lot(settlement=cycle)
    settled = calculation.run(_loaded(book, cycle, late.settled, _as_settled(burned)))
    loaded = _loaded(book, cycle, late.arrived, burned)
    arrived = calculation.run(loaded)
    if more := _more_units(cycle, settled, arrived, burned, units):
        kept = {**loaded.kept_units}
        for metric, allocations in more.items():
            kept[metric] = (*kept.get(metric, ()), *allocations)
        arrived = calculation.run(replace(loaded, kept_units=kept))
    change = _net(arrived) - _net(settled) - cycle.late_adjusted
    return Rerated(cycle, change, _unit_changes(arrived, burned))


def _loaded(book: Book, cycle: Settlement, usage: Usage, burned: Burns) -> Calculation:
    """Load a settled cycle: unit credits pay what they paid, and included quantity that rolled over
    is left out; money credits are not loaded.
    """
    draft = load.without_credits(
        subscription=cycle.subscription,
        settlement=cycle,
        usage=usage,
        full_period=Period(cycle.full_starts_at, cycle.full_ends_at),
        until=cycle.ends_at,
    )
    lots = CreditLot.objects.filter(pk__in=burned, unit_wallet__isnull=False)
    draft = load.with_credits(draft, book=book, lots=(), burned=burned, lapsed=lots.order_by("id"))
    came = load.rolled_generations(cycle.subscription, cycle.cycle)
    left = {
        code: sum(came.get(code, ()), ZERO) - sum(map(Decimal, cycle.rolled_on.get(code, ())), ZERO)
        for code in {*came, *cycle.rolled_on}
    }
    return advance.of_cycle(replace(draft, rolled_in=left), ())


def _as_settled(burned: Burns) -> dict[UUID, CycleBurn]:
    """Return what a cycle had burned when it was settled, without late usage."""
    found = {}
    for lot, row in burned.items():
        before = copy.copy(row)
        before.quantity -= row.late
        found[lot] = before
    return found


def _net(draft: Calculation) -> Decimal:
    return draft.subtotal - draft.discount


def _more_units(
    cycle: Settlement, settled: Calculation, arrived: Calculation, burned: Burns, units: _Units
) -> dict[str, tuple[Allocation, ...]]:
    """Allocate usage that has arrived to the unit lots of the cycle's time, and lower their free
    part.

    They pay for no more than came late: what was billed in time stays billed.
    """
    more = {}
    metrics = {lot.id: _metric_of(lot) for lot in units.lots}
    taken = CreditLot.objects.filter(pk__in=burned, unit_wallet__isnull=False)
    metrics |= {lot.id: _metric_of(lot) for lot in taken.select_related("unit_wallet__metric")}
    for metric in sorted({*metrics.values()}):
        rows = [row for lot, row in burned.items() if metrics.get(lot) == metric]
        needed = units_needed(arrived.demands, metric)
        came = needed - units_needed(settled.demands, metric) - sum((r.late for r in rows), ZERO)
        short = needed - sum((row.quantity for row in rows), ZERO)
        order = settled.may_pay(arrived.unit_orders.get(metric, arrived.money_order))
        found = allocate(units.of(metric, cycle), max(min(came, short), ZERO), order).allocations
        for allocation in found:
            units.free[allocation.lot] -= allocation.quantity
        if found:
            more[metric] = found
    return more


def _unit_changes(arrived: Calculation, burned: Burns) -> dict[UUID, Decimal]:
    """Return the difference between the unit lots' burns and what they should be."""
    target: dict[UUID, Decimal] = {}
    for burns in arrived.unit_burns.values():
        for burn in burns:
            target[burn.lot] = target.get(burn.lot, ZERO) + burn.quantity
    is_unit = set(
        CreditLot.objects.filter(pk__in=burned, unit_wallet__isnull=False).values_list(
            "pk", flat=True
        )
    )
    before = {lot: row.quantity for lot, row in burned.items() if lot in is_unit}
    changes = {lot: target.get(lot, ZERO) - before.get(lot, ZERO) for lot in {**before, **target}}
    return {lot: change for lot, change in changes.items() if change != 0}


def _alive_units(book: Book, settlement: Settlement, at: datetime) -> _Units:
    """Return the unit lots that are alive at a moment, or lapse exactly then. What the open cycle's
    own metered usage has burned of them so far is free again: older usage comes first.
    """
    burned = cycle_burns.by_lot(settlement=settlement)
    lots = CreditLot.objects.filter(
        Q(remaining__gt=0) | Q(pk__in=burned), book=book, unit_wallet__isnull=False
    ).select_related("unit_wallet__metric")
    alive = [
        lot
        for lot in lots.order_by("granted_at", "id")
        if lot.expires_at is None or lot.expires_at >= at
    ]
    free = {
        lot.id: queries.seen_by_waterfall(lot).available
        + (burned[lot.id].quantity - burned[lot.id].kept if lot.id in burned else ZERO)
        for lot in alive
    }
    return _Units(alive, free)


def _metric_of(lot: CreditLot) -> str:
    return "" if lot.unit_wallet is None else lot.unit_wallet.metric.code


def before_lapse(
    *, book: Book, cycle: Settlement, at: datetime, received_by: datetime
) -> list[Rerated]:
    """Rate again the settled cycles before an open one, and return what the unit lots that lapse at
    a moment pay of the usage received in time for that. Writes nothing; the book must be locked.
    """
    lapsing = CreditLot.objects.filter(
        book=book, unit_wallet__isnull=False, expires_at=at, remaining__gt=F("held")
    )
    lots = set(lapsing.values_list("pk", flat=True))
    found = read_late(settlement=cycle, received_by=received_by) if lots else []
    units = _alive_units(book, cycle, at) if found else _Units((), {})
    return [
        Rerated(each.cycle, ZERO, {lot: each.units[lot] for lot in lots & each.units.keys()})
        for each in (_rerate(book, late, units) for late in found)
    ]


def less_taken(draft: Calculation, rerated: Iterable[Rerated]) -> Calculation:
    """Lower the unit lots offered to a calculation by what goes to late usage."""
    taken: dict[UUID, Decimal] = {}
    for each in rerated:
        for lot, change in each.units.items():
            taken[lot] = taken.get(lot, ZERO) + max(change, ZERO)
    return replace(
        draft,
        unit_lots={
            metric: tuple(
                replace(lot, available=lot.available - taken.get(lot.id, ZERO)) for lot in lots
            )
            for metric, lots in draft.unit_lots.items()
        },
    )


def offered(
    draft: Calculation, *, rerated: Sequence[Rerated], settlement: Settlement
) -> Calculation:
    """Add to the next document what settled cycles owe more and what the customer is owed for them,
    and lower its lots by what goes to late usage.
    """
    return replace(
        less_taken(draft, rerated),
        late=tuple(
            LateAdjustment(
                each.cycle.pk, f"Late usage of {each.period}", each.change, each.tax_rate
            )
            for each in rerated
            if each.change > 0
        ),
        credits_owed=late_credits.owed(settlement.subscription_id),
    )


def _give_back(book: Book, rerated: Rerated, at: datetime, lives_until: datetime) -> None:
    lowered = {lot: -change for lot, change in rerated.units.items() if change < 0}
    cycle = rerated.cycle
    journal = CreditJournal()
    entry = journal.entry(
        book=book,
        event=LedgerEvent.ADJUSTMENT,
        occurred_at=at,
        document={
            "settlement": str(cycle.pk),
            "reason": f"Late usage of {rerated.period}",
            "late": [
                {
                    "settlement": str(cycle.pk),
                    "until": cycle.ends_at.isoformat(),
                    "net": plain(min(rerated.change, ZERO)),
                    "currency": cycle.currency,
                }
            ],
        },
        at_period_end=True,
    )
    rows = cycle_burns.by_lot(settlement=cycle)
    for lot, quantity in lowered.items():
        tax = money.proportion(rows[lot].tax, quantity, rows[lot].quantity)
        _return(entry, rows[lot], quantity, tax, lives_until)
    owed = _money_back(entry, rerated, lives_until) if rerated.change < 0 else ZERO
    if owed > 0:
        entry.lines += posting_rules.credit_owed(amount=owed, currency=cycle.currency)
    journal.write()
    if owed > 0:
        late_credits.owe(
            cycle=cycle,
            description=f"Credit for usage of {rerated.period}",
            amount=owed,
            tax_rate=rerated.tax_rate,
            at=at,
            entry_id=entry.id,
        )


def _money_back(entry: EntryDraft, rerated: Rerated, lives_until: datetime) -> Decimal:
    """Lower the shares of those who bear the cycle; return what the customer is owed for the rest,
    which was invoiced.
    """
    cycle = rerated.cycle
    shares, owed = spread(bearers.bearers_of(cycle), -rerated.change)
    for share in shares:
        if isinstance(share.source, Invoice):
            owed += share.net
        elif isinstance(share.source, CycleBurn):
            _return(entry, share.source, share.gross, share.tax, lives_until)
        else:
            bearers.forgive(cycle, share)
            entry.document["arrears_forgiven"] = plain(share.gross)
    cycle.late_adjusted += rerated.change
    cycle.save(update_fields=["late_adjusted"])
    is_rounded = cycle.billing_mode != "PREPAID"
    return money.round_amount(owed, cycle.currency) if is_rounded else owed


def _return(
    entry: EntryDraft, row: CycleBurn, quantity: Decimal, tax: Decimal, lives_until: datetime
) -> None:
    lot = cycle_burns.take_back(entry, row, quantity=quantity, tax=tax, is_late=True)
    if lot.expires_at is not None and lot.expires_at < entry.occurred_at:
        cycle_burns.return_to_lapsed(entry, lot, ends_at=lives_until)


def burn_units(*, book: Book, rerated: Iterable[Rerated], at: datetime) -> None:
    """Burn the unit credits that pay for late usage, once the next cycle has burned its own. The
    book must be locked.
    """
    journal = CreditJournal()
    for each in rerated:
        more = {
            lot: cycle_burns.of_units(change, each.tax_rate)
            for lot, change in each.units.items()
            if change > 0
        }
        if more:
            entry = journal.entry(
                book=book,
                event=LedgerEvent.USAGE_BURNED,
                occurred_at=at,
                document={
                    "subscription": str(each.cycle.subscription_id),
                    "cycle": str(each.cycle.cycle),
                    "reason": f"Late usage of {each.period}",
                },
                at_period_end=True,
            )
            lots = CreditLot.objects.select_related("unit_wallet__metric").in_bulk(more)
            cycle_burns.burn_more(
                entry, settlement=each.cycle, lots=lots, burned=more, is_late=True
            )
    if journal.drafts:
        journal.write()
