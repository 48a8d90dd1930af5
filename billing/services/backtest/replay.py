"""Price settled cycles on another version, by the stages that settled them. Reads only."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from aforo.errors import DomainError, InvariantBroken
from aforo.money import ZERO, plain
from billing import pipeline
from billing.models import Settlement
from billing.pipeline import load, showing
from billing.pipeline import usage as usages
from billing.pipeline.draft import Draft, Overage
from billing.services import subscriptions
from billing.services.backtest.credits import Credits, Found, Offered, burns_of, found_by
from pricing.models import GrantTemplate, RatePlanVersion
from wallets.waterfall import Allocation, Lot

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
    """Price the settled cycles of some books, which come whole and in the order of their ends."""
    templates = list(
        GrantTemplate.objects.filter(version=version)
        .select_related("metric")
        .order_by("position", "pk")
    )
    found = found_by(settlements)
    by_book: dict[int, Credits] = {}
    priced = []
    for settlement in settlements:
        book = by_book.setdefault(
            settlement.book_id, Credits(version, templates, with_money=with_credits)
        )
        priced.append(_replay_cycle(version, settlement, book, found.get(settlement.pk, ())))
    return priced


def _replay_cycle(
    version: RatePlanVersion, settlement: Settlement, mine: Credits, found: Sequence[Found]
) -> Priced:
    really = _figures(settlement.stages, settlement.totals)
    paid = _total(really)
    try:
        run = _run(_pictured(version, settlement), mine.offer(settlement, found), mine.with_money)
    except (DomainError, InvariantBroken) as error:
        return Priced(settlement, paid, None, {"paid": really}, str(error)[:500])
    mine.take(run, settlement, found)
    asked = _figures(showing.stages(run), showing.totals(run))
    shown = ["subtotal", "discount", "tax", "total"]
    if mine.with_money:
        shown += ["from_wallet", "to_invoice", "arrears"]
    figures: Json = {
        "paid": {name: really[name] for name in shown},
        "priced": {name: asked[name] for name in shown},
        "from_units": asked["from_units"],
    }
    return Priced(settlement, paid, _total(asked), figures)


def _pictured(version: RatePlanVersion, settlement: Settlement) -> Settlement:
    """Picture a settled cycle as if its subscription had been on the version."""
    pictured = copy.copy(settlement)
    pictured.subscription = copy.copy(settlement.subscription)
    pictured.subscription.version = version
    return pictured


def _run(cycle: Settlement, offered: Sequence[Offered], with_overage: bool) -> Draft:  # noqa: FBT001
    """Settle a cycle: credits that lapse within it pay for the usage of their lifetime first."""
    subscription = cycle.subscription
    draft = load.load(
        book=cycle.book,
        subscription=subscription,
        settlement=cycle,
        usage=usages.read_usage(settlement=cycle),
        full_period=subscriptions.period_of(subscription, cycle.cycle),
    )
    overage = Decimal(str(cycle.totals["overage"])) if with_overage else ZERO
    draft = replace(
        draft,
        overages=(Overage(_OVERAGE, overage),) if overage > 0 else (),
        unit_orders={each.metric: draft.money_order for each in offered if each.metric},
        considerations={
            each.lot.id: each.consideration
            for each in offered
            if each.consideration is not None
            and each.consideration.carrying > 0
            and each.currency == draft.currency
        },
    )
    kept: dict[UUID, Decimal] = {}
    for moment in _lapses(offered):
        kept |= _burned_by(moment, cycle, draft, offered, kept)
    alive = [each.lot.id for each in offered if each.is_alive]
    return pipeline.run(_with(draft, offered, alive, kept))


def _lapses(offered: Iterable[Offered]) -> list[datetime]:
    """Give the moments at which lots lapse before the cycle is settled."""
    gone = (each.lot.expires_at for each in offered if not each.is_alive)
    return sorted({moment for moment in gone if moment is not None})


def _burned_by(
    moment: datetime,
    cycle: Settlement,
    draft: Draft,
    offered: Sequence[Offered],
    kept: Mapping[UUID, Decimal],
) -> dict[UUID, Decimal]:
    """Give what the lots that lapse at a moment have paid until then (see `burning`)."""
    grace = timedelta(hours=cycle.subscription.version.lapse_grace_hours)
    usage = usages.read_part(
        subscription=cycle.subscription,
        starts_at=cycle.starts_at,
        ends_at=moment,
        received_by=moment + grace,
    )
    living = [
        each.lot.id
        for each in offered
        if each.lot.effective_at < moment
        and (each.lot.expires_at is None or each.lot.expires_at >= moment)
    ]
    so_far = _with(replace(draft, usage=usage), offered, living, kept)
    burned = burns_of(pipeline.run(pipeline.to_date(so_far)))
    lapsing = [each.lot.id for each in offered if each.lot.expires_at == moment]
    return {lot: burned[lot] for lot in lapsing if lot in burned}


def _with(
    draft: Draft,
    offered: Sequence[Offered],
    alive: Collection[UUID],
    kept: Mapping[UUID, Decimal],
) -> Draft:
    """Offer the lots that are alive, and keep what the others have paid."""
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
    """Read a run's totals before money credits: promo money lowers the tax only afterwards."""
    (tax,) = [stage["out"] for stage in stages if stage["title"] == "Tax"]
    assert isinstance(tax, Mapping), "a stage's trace names what it found"
    net = Decimal(str(totals["subtotal"])) - Decimal(str(totals["discount"]))
    return {
        **totals,
        "tax": tax["tax"],
        "total": plain(net + Decimal(str(tax["tax"]))),
    }


def _total(figures: Json) -> Decimal:
    return Decimal(str(figures["total"]))
