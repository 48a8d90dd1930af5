"""Price settled cycles on another version, by the stages that settled them. Reads only."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
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
from billing.services.backtest.credits import Credits, Found, found_by
from pricing.models import GrantTemplate, RatePlanVersion

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
        draft = _draft(version, settlement, mine.with_money)
        run = pipeline.run(mine.offer(draft, settlement, found))
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


def _draft(version: RatePlanVersion, settlement: Settlement, with_overage: bool) -> Draft:  # noqa: FBT001
    """Load a settled cycle as if its subscription had been on the version."""
    subscription = copy.copy(settlement.subscription)
    subscription.version = version
    pictured = copy.copy(settlement)
    pictured.subscription = subscription
    draft = load.load(
        book=settlement.book,
        subscription=subscription,
        settlement=pictured,
        usage=usages.read_usage(settlement=pictured),
        full_period=subscriptions.period_of(subscription, settlement.cycle),
    )
    overage = Decimal(str(settlement.totals["overage"])) if with_overage else ZERO
    return replace(draft, overages=(Overage(_OVERAGE, overage),) if overage > 0 else ())


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
