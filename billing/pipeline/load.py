"""Before the ten stages: all the reading.

`read_usage` adds up the sealed, immutable usage of a cycle, without a lock. `load` reads the rest
under the book's lock: terms, lots, overages.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import connection
from django.db.models import F, Q

from aforo import money
from aforo.periods import Period
from billing.models import Settlement, Subscription, TaxRate
from billing.pipeline.draft import ChargeTerms, Consideration, Draft, MetricUsage, Overage, Tax
from ledger.models import Book
from pricing import services as pricing
from pricing.models import Aggregation, Metric
from wallets import reads
from wallets.models import Debit, Source, UnitWallet, Wallet
from wallets.waterfall import Lot

Parameter = str | list[str]

_NUMERIC = r"^-?[0-9]+(\.[0-9]+)?$"
_AGGREGATES = {
    Aggregation.COUNT: "count(*)",
    Aggregation.SUM: "sum({value})",
    Aggregation.MAX: "max({value})",
    Aggregation.AVERAGE: "round(avg({value}), 12)",
    Aggregation.LATEST: "(array_agg({value} ORDER BY occurred_at DESC, id DESC))[1]",
    Aggregation.P95: "percentile_disc(0.95) WITHIN GROUP (ORDER BY {value})",
    Aggregation.UNIQUE: "count(DISTINCT {text})",
}
_OPERATORS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def read_usage(*, settlement: Settlement) -> dict[str, MetricUsage]:
    """Add up a sealed cycle, metric by metric, in SQL."""
    version = settlement.subscription.version_id
    metrics = Metric.objects.filter(charges__version=version).distinct().order_by("pk")
    return {
        metric.code: aggregate(
            book_id=settlement.book_id,
            metric=metric,
            starts_at=settlement.starts_at,
            ends_at=settlement.ends_at,
        )
        for metric in metrics
    }


def aggregate(
    *, book_id: int, metric: Metric, starts_at: datetime, ends_at: datetime
) -> MetricUsage:
    """Aggregate the events of a metric that count in [starts_at, ends_at) as the metric says."""
    where, parameters = _where(metric)
    value, text = "quantity", "key"
    before: list[str] = []
    if metric.property:
        where += " AND properties ? %s"
        parameters.append(metric.property)
        value = "(properties ->> %s)::numeric"
        text = "(properties ->> %s)"
        before = [metric.property]
        if metric.aggregation not in {Aggregation.UNIQUE, Aggregation.COUNT}:
            where += " AND (properties ->> %s) ~ %s"
            parameters += [metric.property, _NUMERIC]
    aggregation = Aggregation(metric.aggregation)
    expression = _AGGREGATES[aggregation].format(value=value, text=text)
    if aggregation == Aggregation.COUNT:
        before = []
    statement = (
        f"SELECT coalesce({expression}, 0)::numeric, count(*) FROM billing_usageevent "  # noqa: S608
        f"WHERE book_id = %s AND metric_id = %s AND counted_at >= %s AND counted_at < %s{where}"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [*before, book_id, metric.pk, starts_at, ends_at, *parameters])
        quantity, events = cursor.fetchone()
    return MetricUsage(money.to_books(Decimal(quantity)), events)


def _where(metric: Metric) -> tuple[str, list[Parameter]]:
    """Turn the metric's property filters into conditions and their parameters."""
    conditions, parameters = "", list[Parameter]()
    for rule in metric.filters:
        condition, given = _condition(rule)
        conditions += f" AND {condition}"
        parameters += given
    return conditions, parameters


def _condition(rule: Mapping[str, object]) -> tuple[str, list[Parameter]]:
    name, operator, value = str(rule["property"]), str(rule["op"]), rule.get("value")
    field = "(properties ->> %s)"
    match operator:
        case "exists":
            negation = "" if value in {None, True, "true"} else "NOT "
            return f"{negation}properties ? %s", [name]
        case "in" | "not_in":
            values = [str(item) for item in value] if isinstance(value, list) else [str(value)]
            test = f"{field} = ANY(%s)"
            return (test if operator == "in" else f"NOT coalesce({test}, false)"), [name, values]
        case "contains":
            return f"position(%s in {field}) > 0", [str(value), name]
        case "gt" | "gte" | "lt" | "lte":
            compared = f"{field}::numeric {_OPERATORS[operator]} %s::numeric"
            test = f"CASE WHEN {field} ~ %s THEN {compared} END"
            return test, [name, _NUMERIC, name, str(value)]
        case "ne":
            return f"{field} IS DISTINCT FROM %s", [name, str(value)]
        case _:
            return f"{field} = %s", [name, str(value)]


def load(
    *,
    book: Book,
    subscription: Subscription,
    settlement: Settlement,
    usage: Mapping[str, MetricUsage],
    full_period: Period,
) -> Draft:
    """Read everything else a cycle needs. The book must be locked.

    `full_period` is the period from bound to bound, of which a first cycle may serve a part.

    A cycle is paid by lots that lived at its end or lapse exactly then: unit lots and grants
    effective before it, and any top-up, also a later one (DECISIONS 34).
    """
    version = subscription.version
    trial = subscription.trial_ends_at is not None and settlement.cycle == 0
    priced = () if trial else pricing.charges_of(version)
    period = Period(settlement.starts_at, settlement.ends_at)
    wallets = Wallet.objects.filter(book=book, currency=version.plan.currency)
    wallet = wallets.first() or Wallet(book=book, currency=version.plan.currency)
    units = {w.pk: w for w in UnitWallet.objects.filter(book=book).select_related("metric")}
    unit_lots: dict[str, list[Lot]] = {}
    money_lots: list[Lot] = []
    considerations: dict[UUID, Consideration] = {}
    for lot in reads.open_lots([book.pk]):
        if not _pays_for(lot.source, lot.effective_at, lot.expires_at, settlement.ends_at):
            continue
        if lot.wallet_id == wallet.pk:
            money_lots.append(reads.seen_by_waterfall(lot))
        elif lot.unit_wallet_id in units:
            code = units[lot.unit_wallet_id].metric.code
            unit_lots.setdefault(code, []).append(reads.seen_by_waterfall(lot))
            if lot.carrying > 0 and lot.currency == version.plan.currency:
                considerations[lot.id] = Consideration(lot.carrying, lot.face, lot.remaining)
    return Draft(
        currency=version.plan.currency,
        billing_mode=subscription.billing_mode,
        period=period,
        charges=tuple(
            ChargeTerms(
                code=charge.code,
                model=charge.model,
                terms=charge.terms,
                feeds=charge.feeds,
                timing=charge.timing,
                description=charge.description,
            )
            for charge in priced
        ),
        usage=usage,
        served=_seconds(period),
        of_full=_seconds(full_period),
        caps={metric: Decimal(cap) for metric, cap in version.caps.items()},
        minimum_spend=None if trial else version.minimum_spend,
        maximum_spend=version.maximum_spend,
        tax_rate=_tax_rate(subscription, settlement.ends_at),
        unit_lots={code: tuple(lots) for code, lots in unit_lots.items()},
        unit_orders={w.metric.code: tuple(w.burn_order) for w in units.values()},
        considerations=considerations,
        money_lots=tuple(money_lots),
        money_order=tuple(version.burn_order),
        overages=_overages(wallet, settlement.ends_at),
    )


def _seconds(period: Period) -> Decimal:
    return Decimal((period.ends_at - period.starts_at) // timedelta(seconds=1))


def _pays_for(
    source: str, effective_at: datetime, expires_at: datetime | None, ends_at: datetime
) -> bool:
    if expires_at is not None and expires_at < ends_at:
        return False
    return effective_at < ends_at or source in {Source.TOP_UP, Source.REFILL}


def _overages(wallet: Wallet, ends_at: datetime) -> tuple[Overage, ...]:
    """Give the overage of wallet debits up to the cycle's end that no settlement has taken."""
    if wallet._state.adding:
        return ()
    open_debits = Debit.objects.filter(
        wallet=wallet, overage__gt=F("overage_billed"), occurred_at__lt=ends_at
    ).order_by("occurred_at", "id")
    return tuple(Overage(d.id, d.overage - d.overage_billed) for d in open_debits)


def _tax_rate(subscription: Subscription, at: datetime) -> Tax | None:
    """Give the rate in force at a moment: the region's before the country's, the latest first."""
    customer = subscription.customer
    if not customer.country:
        return None
    rates = TaxRate.objects.filter(
        Q(region="") | Q(region=customer.region),
        livemode=customer.book.livemode,
        country=customer.country,
        valid_from__lte=at,
    )
    rate = rates.order_by("-region", "-valid_from", "-pk").first()
    if rate is None:
        return None
    return Tax(rate.name, rate.percent, "-".join(filter(None, (rate.country, rate.region))))
