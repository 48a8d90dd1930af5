"""What a refusal for lack of credits explains, so that a program can act on it: which lots were not
used and why, which top-ups would cover it, and when waiting does.

A shortage is noted from the lots as the list has them at that point; the rest is read once the
list has committed, for all of its shortages at once. Nothing here runs for what is accepted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import F, Sum

from aforo import money
from aforo.errors import NotCovered
from aforo.money import ZERO
from ledger.models import Book
from pricing import catalogue
from pricing.models import CreditKind, CreditUnit, Pack
from pricing.offerings import packs
from wallets import port
from wallets.budgets.counting import BudgetExceeded
from wallets.lots import queries
from wallets.lots.waterfall import Lot
from wallets.models import AutoRefill, CreditLot, Hold, ReservationStatus

# An answer never grows with what a customer has.
MOST_SKIPPED = 50
# Where credits are bought: the call that an offer is for.
TOP_UPS = "/v1/wallets/top-ups"

# Why a lot is not used; the first that applies is said.
SKIPPED = ("other_unit", "expired", "not_effective", "frozen", "not_in_burn_order", "held")

# What is explained: credits are short, or a budget refuses.
Refusal = NotCovered | BudgetExceeded

# The holds on a lot that are still to end, in their order: when, and how much.
Ends = Mapping[UUID, Sequence[tuple[datetime, Decimal]]]


@dataclass(frozen=True, slots=True)
class Asked:
    """Where a refused request looked for credits: the wallets (whether of money, and the key) and
    the kinds that may pay, in the currency of the money asked for, which is empty for units.

    `mine` is what the request itself holds, of a reservation that ends at `ends_at`.
    """

    book: Book
    now: datetime
    currency: str
    kinds: Sequence[str]
    wallets: Collection[tuple[bool, int | None]]
    mine: Mapping[UUID, Decimal] = field(default_factory=dict)
    ends_at: datetime | None = None

    def of_wallet(self, lot: CreditLot) -> bool:
        """Return whether a lot is of a wallet that was asked."""
        return (lot.wallet_id is not None, lot.wallet_id or lot.unit_wallet_id) in self.wallets

    def may_pay(self, lot: CreditLot) -> bool:
        """Return whether a lot could pay at some time: what is missing is money where money was
        asked for.
        """
        is_missing = lot.wallet_id is not None or not self.currency
        is_usable = lot.frozen_at is None and lot.kind in self.kinds
        return is_missing and is_usable and self.of_wallet(lot)

    def why_skipped(self, lot: CreditLot) -> tuple[str, Decimal] | None:
        """Return why a lot or a part of it was not used, and how much that is."""
        mine = self.mine.get(lot.id, ZERO)
        checks = (
            (not self.of_wallet(lot), "other_unit"),
            (lot.expires_at is not None and lot.expires_at <= self.now, "expired"),
            (lot.effective_at > self.now, "not_effective"),
            (lot.frozen_at is not None, "frozen"),
            (lot.kind not in self.kinds, "not_in_burn_order"),
        )
        reason = next((reason for applies, reason in checks if applies), "held")
        left = (lot.held if reason == "held" else lot.remaining) - mine
        return (reason, left) if left > 0 else None


@dataclass(frozen=True, slots=True)
class Shortage:
    """A refusal and what it found: why lots were not used, and those that could pay some time."""

    refusal: Refusal
    missing: Decimal
    asked: Asked
    skipped: Sequence[Mapping[str, object]]
    lots: Sequence[Lot]
    held: Collection[UUID]

    def covered_at(self, ends: Ends, owed: Decimal) -> datetime | None:
        """Return when the shortage ends by itself, if nothing else happens: lots that become
        effective and holds that end bring what is missing and what is `owed` before it, or what
        refused it resets.

        Lots expire on the way, and a capture gets nothing after its reservation's own end.
        """
        now, missing, until = self.asked.now, self.missing, self.refusal.until
        moments = {lot.effective_at for lot in self.lots}
        moments |= {at for lot in self.lots for at, _ in ends.get(lot.id, ())}
        limit = self.asked.ends_at
        waits = [at for at in sorted(moments) if at > now and (limit is None or at < limit)]
        wanted = missing + owed + self._spendable(ends, now)
        found = (at for at in waits if missing > 0 and self._spendable(ends, at) >= wanted)
        first = (at for at in (next(found, None), until) if at is not None and at > now)
        return min(first, default=None)

    def _spendable(self, ends: Ends, moment: datetime) -> Decimal:
        alive = [lot for lot in self.lots if lot.spendable_at(moment)]
        now = self.asked.now
        freed = (part for lot in alive for at, part in ends.get(lot.id, ()) if now < at <= moment)
        return sum((lot.available for lot in alive), ZERO) + sum(freed, ZERO)


def limited(refusal: BudgetExceeded, book: Book, now: datetime) -> Shortage:
    """Note a refusal by a budget: no lot was left out, and no credits help; time may."""
    asked = Asked(book=book, now=now, currency="", kinds=(), wallets=())
    return Shortage(refusal, ZERO, asked, skipped=(), lots=(), held=())


def note(refusal: NotCovered, asked: Asked, lots: Iterable[CreditLot]) -> Shortage:
    """Note a refusal with the customer's open lots as they are now: the list goes on with them.

    Lots of the wallet that was asked come first.
    """
    every = sorted(lots, key=lambda lot: not asked.of_wallet(lot))
    skipped = [
        {"lot": lot.id, "reason": why[0], "amount": why[1]}
        for lot in every
        if (why := asked.why_skipped(lot)) is not None
    ]
    usable = [lot for lot in every if asked.may_pay(lot)]
    return Shortage(
        refusal,
        refusal.missing or ZERO,
        asked,
        skipped[:MOST_SKIPPED],
        [queries.seen_by_waterfall(lot) for lot in usable],
        {lot.id for lot in usable if lot.held > 0},
    )


@dataclass(frozen=True, slots=True)
class _Selling:
    """What is known of selling credits to customers, by book and currency."""

    owed: Mapping[tuple[int, str], Decimal]
    refills: Mapping[tuple[int, str], AutoRefill]
    terms: Mapping[tuple[bool, str], catalogue.TopUpTerms]
    units: Mapping[tuple[bool, str], CreditUnit]
    packs: Sequence[Pack]


def explain(shortages: Sequence[Shortage]) -> None:
    """Add to each refusal `skipped`, `offers`, and `retry_after` where waiting helps."""
    if not shortages:
        return
    ends, selling = _read_ends(shortages), _read_selling(shortages)
    for shortage in shortages:
        asked = shortage.asked
        owed = selling.owed.get((asked.book.pk, asked.currency), ZERO)
        extra: dict[str, object] = {
            "skipped": shortage.skipped,
            "offers": _offers(shortage, owed, selling),
        }
        covered_at = shortage.covered_at(ends, owed)
        if covered_at is not None:
            # In whole seconds, rounded up.
            extra["retry_after"] = -((asked.now - covered_at) // timedelta(seconds=1))
        shortage.refusal.extra |= extra


def _read_ends(shortages: Iterable[Shortage]) -> Ends:
    """Read when the holds end that others have on the lots in question."""
    lots = {lot for each in shortages for lot in each.held}
    ends: dict[UUID, list[tuple[datetime, Decimal]]] = defaultdict(list)
    if lots:
        held = Hold.objects.filter(lot__in=lots, reservation__status=ReservationStatus.HELD)
        rows = held.values_list("lot", "reservation__expires_at").annotate(
            left=Sum(F("quantity") - F("captured") - F("released"))
        )
        for lot, ends_at, left in rows.order_by("reservation__expires_at"):
            ends[lot].append((ends_at, left))
    return ends


def _read_selling(shortages: Iterable[Shortage]) -> _Selling:
    """Read what the offers to customers stand on, whose shortages credits bought now would end."""
    helped = [each for each in shortages if _helps(each)]
    books = sorted({each.asked.book.pk for each in helped})
    if not books:
        return _Selling({}, {}, {}, {}, [])
    rules = AutoRefill.objects.filter(book__in=books, switched_off_at=None)
    named = {(each.asked.book.livemode, each.asked.currency) for each in helped}
    units = _units(named)
    paid_in = {(mode, currency) for (mode, _), unit in units.items() for currency in unit.prices}
    return _Selling(
        port.billing().owed(books),
        {(rule.book_id, rule.wallet.currency): rule for rule in rules.select_related("wallet")},
        {
            (livemode, currency): catalogue.top_up_terms(livemode=livemode, currency=currency)
            for livemode, currency in named - units.keys() | paid_in
        },
        units,
        packs.offered(units.values()),
    )


def _units(named: Iterable[tuple[bool, str]]) -> dict[tuple[bool, str], CreditUnit]:
    """Read the credit units among the currencies that credits are short in, where they are sold."""
    codes = {code for _, code in named if code not in money.EXPONENTS}
    if not codes:
        return {}
    found = CreditUnit.objects.filter(code__in=codes, active=True)
    return {(unit.livemode, unit.code): unit for unit in found}


def _helps(shortage: Shortage) -> bool:
    """Return whether credits that are bought could pay: they are CASH, and money."""
    asked, is_short = shortage.asked, shortage.missing > 0
    return is_short and bool(asked.currency) and CreditKind.CASH in asked.kinds


def _offers(shortage: Shortage, owed: Decimal, selling: _Selling) -> list[dict[str, object]]:
    """Return the top-ups that would cover what is missing and what is owed before it, on the
    currency's terms: the smallest, and the one of the customer's own refill.
    """
    if not _helps(shortage):
        return []
    asked, currency = shortage.asked, shortage.asked.currency
    if currency not in money.EXPONENTS:
        unit = selling.units.get((asked.book.livemode, currency))
        need = shortage.missing + owed
        return [] if unit is None else _unit_offers(asked, unit, need, selling)
    mine, terms = (asked.book.pk, currency), selling.terms[asked.book.livemode, currency]
    need = _payable(shortage.missing + owed, currency)
    times = _times(need, terms.maximum) if terms.maximum is not None else 1
    least = max(_payable(money.divide(need, Decimal(times)), currency), terms.minimum or ZERO)
    offers = [_offer(asked, least, times)]
    rule = selling.refills.get(mine)
    if rule is not None:
        offers.append(_offer(asked, rule.amount, _times(need, rule.amount), rule.method))
    return offers


def _unit_offers(
    asked: Asked, unit: CreditUnit, need: Decimal, selling: _Selling
) -> list[dict[str, object]]:
    """Return the smallest top-up that buys so many credits, in each currency that they have a rate
    in.
    """
    offers = []
    for currency, rate in unit.prices.items():
        terms = selling.terms[unit.livemode, currency]
        whole = _payable(_up(need, unit.decimals) * rate, currency)
        times = _times(whole, terms.maximum) if terms.maximum is not None else 1
        part = _up(money.divide(need, Decimal(times)), unit.decimals)
        least = max(_payable(part * rate, currency), terms.minimum or ZERO)
        offers.append(_offer(asked, least, times, currency=currency))
    mine = (pack for pack in selling.packs if pack.unit_id == unit.pk)
    for pack in mine:
        if packs.is_available(pack, asked.now):
            times = _times(need, pack.quantity + (pack.bonus_quantity or ZERO))
            offers += [
                _pack_offer(asked, pack, price, currency, times)
                for currency, price in pack.costs.items()
            ]
    return offers


def _pack_offer(
    asked: Asked, pack: Pack, price: Decimal, currency: str, times: int
) -> dict[str, object]:
    body = {"customer_id": asked.book.key, "pack": pack.code, "currency": currency}
    offer = _offer(asked, price, times, currency=currency)
    return {**offer, "pack": pack.code, "body": body}


def _up(value: Decimal, places: int) -> Decimal:
    """Round up to a number of decimals."""
    return -money.floor(-value, places)


def _times(need: Decimal, amount: Decimal) -> int:
    """Return how many top-ups of an amount it takes: 1,200 by 500 takes 3."""
    whole, rest = divmod(need, amount)
    return int(whole) + (rest > 0)


def _payable(need: Decimal, currency: str) -> Decimal:
    """Round up to what can be paid."""
    return -money.floor_amount(-need, currency)


def _offer(
    asked: Asked, amount: Decimal, times: int, method: str = "", *, currency: str = ""
) -> dict[str, object]:
    """Return an offer; `currency` is what credits of a unit are paid in."""
    body: dict[str, object] = {
        "customer_id": asked.book.key,
        "amount": amount,
        "currency": currency or asked.currency,
        **({"unit": asked.currency} if currency else {}),
    }
    return {
        "amount": amount,
        "currency": currency or asked.currency,
        "times": times,
        "method": "POST",
        "path": TOP_UPS,
        "body": body | ({"payment": {"method": method}} if method else {}),
    }
