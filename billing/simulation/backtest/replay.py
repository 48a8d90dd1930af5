"""Replay: settled cycles priced on another version, by the stages that settled them. Reads only."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import prefetch_related_objects

from aforo.errors import DomainError, InvariantBroken
from aforo.ids import new_id
from aforo.money import ZERO, plain
from aforo.periods import Period
from billing import calculation
from billing.calculation import advance, presentation, proration
from billing.calculation.calculation import Calculation, MetricUsage, Overage
from billing.cycle_end.next_cycle import rolled_on
from billing.models import Settlement, SettlementKind, SettlementStatus
from billing.settlement import load
from billing.settlement.coupon_terms import Coupons
from billing.simulation.backtest.credits import Credits, Found, OfferedLot, burns_of, found_by
from billing.usage import aggregates as usages
from pricing import catalogue
from pricing.models import ChargeTiming, GrantTemplate, RatePlanVersion
from wallets.lots.waterfall import Allocation, Lot

# Stands for the overage of wallet debits, which is the same on every version.
_OVERAGE = UUID(int=0)

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Priced:
    """A settled cycle with both sides; `priced` is None where the version could not price it."""

    settlement: Settlement
    paid: Decimal
    priced: Decimal | None
    figures: Json
    error: str = ""


def replay(
    *, version: RatePlanVersion, settlements: Sequence[Settlement], with_credits: bool
) -> list[Priced]:
    """Price the settlements of some books, which come whole and in the order of their ends.

    The version is read once, also a draft.
    """
    prefetch_related_objects([version], "charges__feeds__metric")
    templates = list(
        GrantTemplate.objects.filter(version=version)
        .select_related("metric")
        .order_by("position", "pk")
    )
    found = found_by(settlements)
    openings = [s for s in settlements if s.kind == SettlementKind.OPENING]
    opened = {s.subscription_id for s in openings}
    billed_apart = {(s.subscription_id, s.cycle - 1) for s in openings}
    by_book: dict[int, Credits] = {}
    priced = []
    for settlement in settlements:
        book = by_book.setdefault(
            settlement.book_id, Credits(version, templates, with_money=with_credits)
        )
        is_opened = settlement.subscription_id in opened
        priced.append(
            _replay_one(
                version,
                settlement,
                book,
                found.get(settlement.pk, ()),
                is_opened=is_opened,
                bills_ahead=(settlement.subscription_id, settlement.cycle) not in billed_apart,
            )
        )
    return priced


def _replay_one(
    version: RatePlanVersion,
    settlement: Settlement,
    mine: Credits,
    found: Sequence[Found],
    *,
    is_opened: bool,
    bills_ahead: bool,
) -> Priced:
    really = _figures(settlement.stages, settlement.totals)
    paid = _total(really)
    pictured = _pictured(version, settlement)
    found = mine.complete(settlement, found)
    try:
        if settlement.kind == SettlementKind.OPENING:
            runs = [_open(pictured, mine, found)]
        else:
            runs = [] if is_opened else _first_fees(pictured, mine, found)
            runs.append(_settle(pictured, mine, found, bills_ahead=bills_ahead))
    except (DomainError, InvariantBroken) as error:
        return Priced(settlement, paid, None, {"paid": really}, str(error)[:500])
    asked = [_figures(presentation.stages(run), presentation.totals(run)) for run in runs]
    shown = ["subtotal", "discount", "tax", "total"]
    if mine.with_money:
        shown += ["from_wallet", "to_invoice", "arrears"]
    priced = {name: _summed([each[name] for each in asked]) for name in shown}
    figures: Json = {
        "paid": {name: really[name] for name in shown},
        "priced": priced,
        "from_units": asked[-1]["from_units"],
    }
    return Priced(settlement, paid, _total(priced), figures)


def _summed(values: Sequence[object]) -> object:
    """Return the sum of amounts written as text, or of mappings of them."""
    first = values[0]
    if isinstance(first, Mapping):
        parts = [value for value in values if isinstance(value, Mapping)]
        return {name: _summed([part[name] for part in parts]) for name in first}
    return plain(sum((Decimal(str(value)) for value in values), ZERO))


def _pictured(version: RatePlanVersion, settlement: Settlement) -> Settlement:
    """Return a copy of a settled cycle as if its subscription had been on the version."""
    pictured = copy.copy(settlement)
    pictured.subscription = copy.copy(settlement.subscription)
    pictured.subscription.version = version
    # Its coupons are those that the version leaves.
    pictured.status = SettlementStatus.SEALED
    return pictured


def _first_fees(cycle: Settlement, mine: Credits, found: Sequence[Found]) -> list[Calculation]:
    """Bill the fees in advance of a subscription's first cycle, where its own plan had none."""
    subscription = cycle.subscription
    charges = catalogue.charges_of(subscription.version)
    has_fees = any(charge.timing == ChargeTiming.ADVANCE for charge in charges)
    if cycle.cycle != 0 or subscription.trial_ends_at is not None or not has_fees:
        return []
    opening = copy.copy(cycle)
    opening.kind = SettlementKind.OPENING
    opening.pk = new_id()
    return [_open(opening, mine, found, really=False)]


def _open(
    opening: Settlement, mine: Credits, found: Sequence[Found], *, really: bool = True
) -> Calculation:
    """Bill fees in advance from the credits that lived when the cycle began (see
    `advance_billing`).
    """
    offered = mine.open_with(opening, found)
    coupons = mine.coupons_of(opening)
    draft = _load(opening, {}, offered, coupons)
    run = calculation.run(advance.of_opening(_with(draft, offered, _ids(offered), {})))
    coupons.took(opening.pk, run.discounts)
    mine.take(run, found, really=really)
    return run


def _settle(
    cycle: Settlement, mine: Credits, found: Sequence[Found], *, bills_ahead: bool
) -> Calculation:
    """Settle a cycle: credits that lapse within it pay for the usage of their lifetime first. The
    fees of the next one are left out where an opening of its own bills them.
    """
    subscription = cycle.subscription
    offered = mine.offer(cycle, found)
    came = mine.rolled_in.get(subscription.pk)
    if came is None:
        came = load.rolled_generations(subscription, cycle.cycle)
    coupons = mine.coupons_of(cycle)
    overage = Decimal(str(cycle.totals["overage"])) if mine.with_money else ZERO
    draft = replace(
        _load(cycle, usages.read_usage(settlement=cycle), offered, coupons),
        overages=(Overage(_OVERAGE, overage),) if overage > 0 else (),
        rolled_in={code: sum(rolled, ZERO) for code, rolled in came.items()},
    )
    kept: dict[UUID, Decimal] = {}
    for moment in _lapses(offered):
        kept |= _burned_by(moment, cycle, draft, offered, kept)
    charges = load.charge_terms(catalogue.charges_of(subscription.version)) if bills_ahead else ()
    ahead = advance.charged_ahead(charges)
    alive = _ids(each for each in offered if each.is_alive)
    run = calculation.run(advance.of_cycle(_with(draft, offered, alive, kept), ahead))
    coupons.took(cycle.pk, run.discounts)
    mine.take(run, found)
    mine.end(run, cycle)
    mine.rolled_in[subscription.pk] = rolled_on(came=came, draft=run)
    return run


def _load(
    cycle: Settlement,
    usage: Mapping[str, MetricUsage],
    offered: Sequence[OfferedLot],
    coupons: Coupons,
) -> Calculation:
    is_opening = cycle.kind == SettlementKind.OPENING
    draft = load.without_credits(
        subscription=cycle.subscription,
        settlement=cycle,
        usage=usage,
        full_period=Period(cycle.full_starts_at, cycle.full_ends_at),
        until=cycle.starts_at if is_opening else cycle.ends_at,
        coupons=coupons,
    )
    return replace(
        draft,
        unit_orders={each.metric: draft.money_order for each in offered if each.metric},
        considerations={
            each.lot.id: each.consideration
            for each in offered
            if each.consideration is not None
            and each.consideration.carrying > 0
            and each.currency == draft.currency
        },
    )


def _ids(offered: Iterable[OfferedLot]) -> set[UUID]:
    return {each.lot.id for each in offered}


def _lapses(offered: Iterable[OfferedLot]) -> list[datetime]:
    """Return the moments at which lots lapse before the cycle is settled."""
    gone = (each.lot.expires_at for each in offered if not each.is_alive)
    return sorted({moment for moment in gone if moment is not None})


def _burned_by(
    moment: datetime,
    cycle: Settlement,
    draft: Calculation,
    offered: Sequence[OfferedLot],
    kept: Mapping[UUID, Decimal],
) -> dict[UUID, Decimal]:
    """Return what the lots that lapse at a moment have paid until then (see `usage_burn`)."""
    grace = timedelta(hours=cycle.subscription.version.lapse_grace_hours)
    usage = usages.read_part(
        subscription=cycle.subscription,
        starts_at=cycle.starts_at,
        counted=Period(cycle.counted_from, max(moment, cycle.counted_from)),
        received_by=moment + grace,
    )
    living = [
        each.lot.id
        for each in offered
        if each.lot.effective_at < moment
        and (each.lot.expires_at is None or each.lot.expires_at >= moment)
    ]
    so_far = _with(replace(draft, usage=usage), offered, living, kept)
    burned = burns_of(calculation.run(calculation.to_date(proration.prorate(so_far))))
    lapsing = [each.lot.id for each in offered if each.lot.expires_at == moment]
    return {lot: burned[lot] for lot in lapsing if lot in burned}


def _with(
    draft: Calculation,
    offered: Sequence[OfferedLot],
    alive: Collection[UUID],
    kept: Mapping[UUID, Decimal],
) -> Calculation:
    """Add the lots that are alive to a calculation, with what the others have paid as kept."""
    lots: defaultdict[str, list[Lot]] = defaultdict(list)
    paid: defaultdict[str, list[Allocation]] = defaultdict(list)
    for each in offered:
        lot = each.lot
        if not each.metric and each.currency != draft.currency:
            continue
        if lot.id in kept:
            paid[each.metric].append(Allocation(lot.id, lot.kind, kept[lot.id]))
        elif lot.id in alive:
            lots[each.metric].append(lot)
    money, paid_money = lots.pop("", []), paid.pop("", [])
    return replace(
        draft,
        unit_lots={metric: tuple(found) for metric, found in lots.items()},
        money_lots=tuple(money),
        kept_units={metric: tuple(found) for metric, found in paid.items()},
        kept_money=tuple(paid_money),
    )


def _figures(stages: Iterable[Mapping[str, object]], totals: Mapping[str, object]) -> Json:
    """Return a run's totals before money credits: promo money lowers the tax only afterwards."""
    (tax,) = [stage["out"] for stage in stages if stage["title"] == "Tax"]
    assert isinstance(tax, Mapping), "a stage's trace names what it found"
    net = Decimal(str(totals["subtotal"])) - Decimal(str(totals["discount"]))
    return {
        **totals,
        "tax": tax["tax"],
        "bonus": "0",
        "total": plain(net + Decimal(str(tax["tax"]))),
    }


def _total(figures: Json) -> Decimal:
    return Decimal(str(figures["total"]))
