"""Load, before the ten stages: all reading under the book's lock (for usage see `aggregates`)."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from types import MappingProxyType
from uuid import UUID

from django.db import connection

from aforo.database import joined
from aforo.money import ZERO
from aforo.periods import Period
from billing.calculation import proration
from billing.calculation.calculation import (
    Calculation,
    ChargeTerms,
    Consideration,
    MetricUsage,
    Overage,
    Tax,
    changed,
)
from billing.invoicing.tax_provider import as_tax, tax_rate_of
from billing.models import (
    Customer,
    CycleBurn,
    ForgivenUsage,
    Settlement,
    SettlementKind,
    Subscription,
)
from billing.settlement import coupon_terms, cycle_credits
from billing.settlement.coupon_terms import Coupons
from ledger.models import Book
from pricing import catalogue
from pricing.models import RatePlanVersion
from pricing.terms import parse_caps
from wallets.lots import queries
from wallets.lots.waterfall import Allocation, Lot
from wallets.models import CreditLot, CreditSource, Debit, UnitWallet

MICROSECOND = timedelta(microseconds=1)
_ROLLED_ON = """
    SELECT rolled_on::text FROM billing_settlement
    WHERE subscription_id = %s AND cycle = %s AND kind = 'CYCLE'
    ORDER BY id LIMIT 1
"""


def load(
    *,
    book: Book,
    subscription: Subscription,
    settlement: Settlement,
    usage: Mapping[str, MetricUsage],
    full_period: Period,
    until: datetime | None = None,
    pays: Callable[[CreditLot], bool] | None = None,
    was_there: Callable[[CreditLot], bool] = lambda lot: True,
) -> Calculation:
    """Read everything but usage that a cycle needs. The book must be locked.

    `full_period` is the period from bound to bound, of which a first cycle may serve a part.

    A cycle is paid by lots that lived at its end or lapse exactly then: unit lots and grants
    effective before it, and any top-up, also a later one (docs/decisions.md#d34). An open cycle,
    priced at `until`, is paid by the lots that `pays` selects. Either way the burns of a lot that
    paid for this cycle and has lapsed since stay, and those of the others are offered again. Lots
    of which `was_there` is false do not count at all, nor what they paid.
    """
    draft = without_credits(
        subscription=subscription,
        settlement=settlement,
        usage=usage,
        full_period=full_period,
        until=until or settlement.ends_at,
    )
    found = cycle_credits.read(book=book, settlement=settlement, currency=draft.currency)
    draft = changed(
        draft,
        rolled_in=rolled_in(rolled_generations(subscription, settlement.cycle)),
        overages=_overages(found.debits),
        forgiven=forgiven_before(settlement, until, found.forgiven),
    )
    pays = pays or partial(pays_for_cycle, ends_at=settlement.counted_until)
    alive, lapsed = list[CreditLot](), list[CreditLot]()
    for lot in filter(was_there, found.lots):
        (alive if pays(lot) else lapsed).append(lot)
    burned = {burn.lot_id: burn for burn in found.burns}
    return offered(draft, units=found.units, lots=alive, burned=burned, lapsed=lapsed)


def without_credits(
    *,
    subscription: Subscription,
    settlement: Settlement,
    usage: Mapping[str, MetricUsage],
    full_period: Period,
    until: datetime,
    coupons: Coupons | None = None,
) -> Calculation:
    """Read what a cycle owes by its version, coupons and tax, before credits and adjustments of
    other cycles.
    """
    version = subscription.version
    trial = settlement.period_number < 0
    priced = () if trial else catalogue.charges_of(version)
    period = Period(settlement.starts_at, settlement.ends_at)
    share = proration.share_of(period, full_period)
    included = share
    if _keeps_included(subscription, settlement):
        included = proration.share_of(Period(period.starts_at, full_period.ends_at), full_period)
    return Calculation(
        currency=version.plan.currency,
        billing_mode=subscription.billing_mode,
        period=period,
        charges=charge_terms(priced),
        usage=usage,
        served=share.served,
        of_full=share.of_full,
        included_for=included.served,
        caps=parse_caps(version.caps),
        minimum_spend=None if trial else version.minimum_spend,
        maximum_spend=version.maximum_spend,
        tax_rate=tax_rate_of(
            subscription.customer, tax_point(settlement, until), version.tax_class
        ),
        ahead_tax_rate=_ahead_tax_rate(subscription.customer, settlement, version),
        tax_inclusive=version.tax_inclusive,
        ahead_tax_inclusive=version.tax_inclusive,
        money_order=tuple(version.burn_order),
        coupons=(coupons or coupon_terms.read(subscription)).of(
            subscription, settlement, full_period
        ),
    )


def ahead_by(
    draft: Calculation, *, settlement: Settlement, version: RatePlanVersion
) -> Calculation:
    """Return a calculation with the fees of the next cycle taxed as its own version has it."""
    if version.pk == settlement.subscription.version_id:
        return draft
    customer = settlement.subscription.customer
    return changed(
        draft,
        ahead_tax_rate=_ahead_tax_rate(customer, settlement, version),
        ahead_tax_inclusive=version.tax_inclusive,
    )


def _ahead_tax_rate(
    customer: Customer, settlement: Settlement, version: RatePlanVersion
) -> Tax | None:
    """Return the rate of a document's fees in advance, if its version has any."""
    if not catalogue.bills_in_advance(version):
        return None
    return tax_rate_of(customer, _next_starts_at(settlement), version.tax_class)


def _keeps_included(subscription: Subscription, settlement: Settlement) -> bool:
    """Return whether a cycle that a cancellation cuts short keeps all that it includes, because
    the fee that was paid for it in advance is kept too.
    """
    return (
        subscription.cancel_at is not None
        and subscription.cancel_at <= settlement.ends_at
        and not subscription.is_fee_due
        and catalogue.bills_in_advance(subscription.version)
    )


def charge_terms(charges: Sequence[catalogue.PricedCharge]) -> tuple[ChargeTerms, ...]:
    """Return a version's charges as the stages read them."""
    return tuple(
        ChargeTerms(
            code=charge.code,
            model=charge.model,
            terms=charge.terms,
            feeds=charge.feeds,
            timing=charge.timing,
            description=charge.description,
        )
        for charge in charges
    )


def with_credits(
    draft: Calculation,
    *,
    book: Book,
    lots: Iterable[CreditLot],
    burned: Mapping[UUID, CycleBurn] = MappingProxyType({}),
    lapsed: Iterable[CreditLot] = (),
) -> Calculation:
    """Add the lots of a book to a calculation, as `offered` does."""
    units = joined.select(UnitWallet, ["metric"], "WHERE t.book_id = %s", [book.pk])
    return offered(draft, units=units, lots=lots, burned=burned, lapsed=lapsed)


def offered(
    draft: Calculation,
    *,
    units: Collection[UnitWallet],
    lots: Iterable[CreditLot],
    burned: Mapping[UUID, CycleBurn],
    lapsed: Iterable[CreditLot],
) -> Calculation:
    """Add lots to a calculation: money of its currency, and units of every metric.

    What the cycle has `burned` of them is offered again; what it burned of `lapsed` ones, or by
    real-time usage, is kept, in the order of the first burns.
    """
    codes = {wallet.pk: wallet.metric.code for wallet in units}
    # By metric code; money is under the empty one.
    offered: dict[str, list[Lot]] = {}
    kept: dict[str, list[Allocation]] = {}
    considerations: dict[UUID, Consideration] = {}
    for lot, is_alive in (*((lot, True) for lot in lots), *((lot, False) for lot in lapsed)):
        if lot.unit_wallet_id is None and lot.counted_in != draft.currency:
            continue
        code = "" if lot.unit_wallet_id is None else codes[lot.unit_wallet_id]
        burn = burned.get(lot.id)
        before = ZERO if burn is None else burn.quantity
        stays = before if burn is None or not is_alive else burn.kept
        if is_alive:
            seen = queries.seen_by_waterfall(lot)
            offer = replace(seen, available=seen.available + before - stays)
            offered.setdefault(code, []).append(offer)
        if stays > 0:
            kept.setdefault(code, []).append(Allocation(lot.id, lot.kind, stays))
        if not code or (lot.carrying > 0 and lot.currency == draft.currency):
            considerations[lot.id] = Consideration(
                lot.carrying, lot.face, lot.remaining + before, lot.taxed_at_sale
            )
    first = {lot: position for position, lot in enumerate(burned)}
    for stayed in kept.values():
        stayed.sort(key=lambda allocation: first[allocation.lot])
    money_lots, kept_money = offered.pop("", []), kept.pop("", [])
    return changed(
        draft,
        unit_lots={code: tuple(lots) for code, lots in offered.items()},
        unit_orders={wallet.metric.code: tuple(wallet.burn_order) for wallet in units},
        considerations=considerations,
        money_lots=tuple(money_lots),
        kept_units={code: tuple(lots) for code, lots in kept.items()},
        kept_money=tuple(kept_money),
    )


def rolled_in(generations: Mapping[str, Sequence[Decimal]]) -> dict[str, Decimal]:
    """Return the included quantity that rolled into a cycle, by charge."""
    return {code: sum(rolled, ZERO) for code, rolled in generations.items()}


def rolled_generations(subscription: Subscription, cycle: int) -> dict[str, list[Decimal]]:
    """Return the included quantity that rolled into a cycle, by charge and by how often it has."""
    if not cycle:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_ROLLED_ON, [subscription.pk, cycle - 1])
        found = cursor.fetchone()
    return as_generations(json.loads(found[0]) if found else {})


def as_generations(rolled_on: Mapping[str, Sequence[str]]) -> dict[str, list[Decimal]]:
    """Return what a settlement has rolled on, as numbers."""
    return {code: [Decimal(quantity) for quantity in rolled] for code, rolled in rolled_on.items()}


def pays_for_cycle(lot: CreditLot, ends_at: datetime) -> bool:
    """Return whether a lot pays for a cycle when it is settled (docs/decisions.md#d34)."""
    if lot.expires_at is not None and lot.expires_at < ends_at:
        return False
    # The bonus that a campaign added to a top-up counts with it.
    is_bought = (
        lot.source in {CreditSource.TOP_UP, CreditSource.REFILL} or lot.top_up_id is not None
    )
    return lot.effective_at < ends_at or is_bought


def forgiven_before(
    settlement: Settlement, until: datetime | None, rows: Iterable[ForgivenUsage]
) -> Decimal:
    """Return what is forgiven of the usage that counts before a moment, or of all of it."""
    if until is None:
        return sum((row.net for row in rows), ZERO)
    counted = max(until, settlement.counted_from + MICROSECOND)
    return sum((row.net for row in rows if row.counted_at < counted), ZERO)


def _overages(debits: Sequence[Debit]) -> tuple[Overage, ...]:
    """Return what debits ran up, each with the tax rate of its moment."""
    rates = queries.tax_of_debits(debits)
    return tuple(
        Overage(debit.id, debit.open_overage, as_tax(rates.get(debit.id))) for debit in debits
    )


def tax_point(settlement: Settlement, until: datetime | None = None) -> datetime:
    """Return the instant whose tax rate counts for a cycle, or for the part of it before `until`:
    the last one of it, because a period ends just before its end; for an opening, which bills fees
    in advance, the first.
    """
    if settlement.kind == SettlementKind.OPENING:
        return settlement.starts_at
    return (until or settlement.ends_at) - MICROSECOND


def _next_starts_at(settlement: Settlement) -> datetime:
    """Return the start of the period of a document's fees in advance."""
    is_opening = settlement.kind == SettlementKind.OPENING
    return settlement.starts_at if is_opening else settlement.ends_at
