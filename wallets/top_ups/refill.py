"""Automatic refill: at a threshold, within caps, with one payment in flight, never a loop.

Every attempt is a top-up of its own that waits for the gateway like any other; while it waits no
other is begun. After a failure the next attempt waits, and too many failures switch it off.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from aforo import actors, money, payable
from aforo.database import bulk
from aforo.errors import FieldError, Invalid, NotFound
from aforo.ids import new_id
from aforo.money import ZERO
from aforo.sandbox.services import now_for
from ledger.entries import books
from ledger.models import Book
from pricing import catalogue
from wallets import port
from wallets.holds import reservation_holds
from wallets.holds.reservations import release_due
from wallets.lots import provisioning, queries
from wallets.models import AutoRefill, PaidBy, SpendState, TopUp, TopUpChannel, TopUpStatus
from wallets.top_ups import payments, sale_tax
from wallets.top_ups.gateway import SANDBOX, gateway_of

# On a test clock time jumps from due instant to due instant; two refills of one wallet are at
# least so far apart there, as they are where the sweep finds them.
GAP = timedelta(minutes=1)


class NoAutoRefill(NotFound):
    """The wallet has no automatic refill.

    Set one by PUT /v1/wallets/{customer_id}/auto-refill.
    """

    default_code = "no_auto_refill"


def set_auto_refill(
    *,
    livemode: bool,
    customer_id: str,
    currency: str,
    threshold: Decimal,
    amount: Decimal,
    enabled: bool,
    max_per_day: int | None = None,
    max_per_month: int | None = None,
    max_amount_per_day: Decimal | None = None,
    max_amount_per_month: Decimal | None = None,
    min_interval: int | None = None,
    method: str | None = None,
) -> AutoRefill:
    """Set a customer's automatic refill; earlier failures are forgotten.

    A wallet that is low already is filled once this has committed. Raises: UnknownCustomer;
    Invalid (`unknown_payment_method`, `not_payable`, `below_minimum`, `above_maximum`,
    `below_amount`).
    """
    chosen = _method(livemode=livemode, method=method)
    payable.check(amount, currency, pointer="/amount")
    catalogue.top_up_terms(livemode=livemode, currency=currency).check(amount)
    _check_caps(amount, day=max_amount_per_day, month=max_amount_per_month)
    book_id = books.get_book(livemode=livemode, key=customer_id).pk
    with transaction.atomic():
        book = books.lock_book(book_id=book_id)
        wallet = provisioning.money_wallet(book=book, currency=currency)
        rule, _ = AutoRefill.objects.update_or_create(
            wallet=wallet,
            defaults={
                "book": book,
                "threshold": threshold,
                "amount": amount,
                "max_per_day": max_per_day,
                "max_per_month": max_per_month,
                "max_amount_per_day": max_amount_per_day,
                "max_amount_per_month": max_amount_per_month,
                "min_interval": min_interval,
                "method": chosen,
                "failures": 0,
                "next_attempt_at": None,
                "switched_off_at": None if enabled else now_for(book),
                "set_after": port.billing().service_ended_at(book, currency),
            },
        )
        port.billing().credits_fell([book.pk])
        return rule


def _check_caps(amount: Decimal, *, day: Decimal | None, month: Decimal | None) -> None:
    """Check that a cap leaves room for one refill at least.

    Raises: Invalid (`below_amount`).
    """
    caps = {"max_amount_per_day": day, "max_amount_per_month": month}
    detail = f"No refill of {money.plain(amount)} fits under it."
    faults = [
        FieldError(f"/{name}", "below_amount", detail)
        for name, cap in caps.items()
        if cap is not None and cap < amount
    ]
    if faults:
        raise Invalid(faults)


def _method(*, livemode: bool, method: str | None) -> str:
    gateway = gateway_of(livemode=livemode)
    chosen = "test_ok" if method is None and not livemode else method
    if gateway is None or chosen is None or not gateway.knows(chosen):
        detail = f"No payment gateway takes money by {chosen or 'no method'}."
        raise Invalid([FieldError("/method", "unknown_payment_method", detail)])
    return chosen


def switch_off(*, rule_id: int) -> None:
    """Switch an automatic refill off; what is in flight still counts."""
    book_id = AutoRefill.objects.values_list("book_id", flat=True).get(pk=rule_id)
    with transaction.atomic():
        book = books.lock_book(book_id=book_id)
        AutoRefill.objects.filter(pk=rule_id, switched_off_at=None).update(
            switched_off_at=now_for(book)
        )


def get_auto_refill(*, livemode: bool, customer_id: str, currency: str | None) -> AutoRefill:
    """Return the refill rule of a customer's wallet; the currency may be left out where there is
    one only.

    Raises: UnknownCustomer, NoAutoRefill, Invalid (`currency_required`).
    """
    book = books.get_book(livemode=livemode, key=customer_id)
    rules = AutoRefill.objects.filter(book=book).select_related("wallet")
    found = list(rules if currency is None else rules.filter(wallet__currency=currency))
    if not found:
        raise NoAutoRefill(f"No wallet of {customer_id} fills itself.")
    if len(found) > 1:
        detail = "Name the currency: several wallets fill themselves."
        raise Invalid([FieldError("/currency", "currency_required", detail)])
    return found[0]


def active_books(among: Collection[int] | None = None) -> list[Book]:
    """Return the books (of some, or all) with an automatic refill."""
    fills_itself = "SELECT book_id FROM wallets_autorefill WHERE switched_off_at IS NULL"
    rest = f"WHERE t.id IN ({fills_itself})"
    if among is None:
        return bulk.select_models(Book, f"{rest} ORDER BY t.id", [])
    return bulk.select_models(Book, f"{rest} AND t.id = ANY(%s) ORDER BY t.id", [list(among)])


def _rules(book_ids: Collection[int]) -> QuerySet[AutoRefill]:
    active = AutoRefill.objects.filter(book__in=book_ids, switched_off_at=None)
    return active.select_related("book__test_clock", "wallet").order_by("book_id", "pk")


@actors.acting(actors.job("refill"))
def refill_if_low(book_ids: Collection[int]) -> int:
    """Refill the wallets of some books that are low and may be refilled now; return how many
    refills were begun.

    Takes its own locks and asks the gateway, so it is called outside of transactions. At most one
    refill a wallet and call.
    """
    begun = 0
    for rule in _rules(book_ids):
        now = now_for(rule.book)
        if rule.wallet.renews_at is not None and rule.wallet.renews_at <= now:
            # The credits of the next cycle come before a card is charged.
            port.billing().renew(rule.book_id)
        if _is_low(rule, now) and _is_over(rule):
            switch_off(rule_id=rule.pk)
            continue
        if _due_at(rule, now) != now:
            continue
        bought = _begin(rule)
        if bought is not None:
            payments.resolve_payment(top_up=bought)
            begun += 1
    return begun


def _begin(rule: AutoRefill) -> TopUp | None:
    """Commit a waiting top-up, unless another call was faster; decided again under the lock, once
    the holds that are due have ended.
    """
    with transaction.atomic():
        book = books.lock_book(book_id=rule.book_id)
        now = now_for(book)
        release_due(book=book, until=now)
        current = _rules([book.pk]).filter(pk=rule.pk).first()
        if current is None or _due_at(current, now) != now:
            return None
        currency = current.wallet.currency
        terms = catalogue.top_up_terms(livemode=book.livemode, currency=currency)
        owed = _owed(book, currency)
        rooms = [cap.room for cap in _caps(current, now) if cap.room is not None]
        amount = _amount(current, owed, terms, room=min(rooms, default=None))
        return TopUp.objects.create(
            id=new_id(),
            book=book,
            currency=currency,
            amount=amount,
            bonus=terms.bonus_for(amount),
            lifetime_days=terms.expires_after_days,
            channel=TopUpChannel.GATEWAY,
            method=current.method,
            paid_by=PaidBy.PROCESSOR,
            status=TopUpStatus.PENDING,
            auto_refill=current,
            refill_reason={
                "available": money.plain(_available(current, now)),
                "threshold": money.plain(current.threshold),
                "owed": money.plain(owed),
            },
            created_at=now,
            **sale_tax.of_order(book=book, amount=amount, currency=currency, terms=terms, now=now),
        )


def _amount(
    rule: AutoRefill, owed: Decimal, terms: catalogue.TopUpTerms, *, room: Decimal | None
) -> Decimal:
    """Return the amount of the rule, or all that is owed if this is more and may be bought at once,
    as an amount that can be paid; no more than the caps leave.

    A customer who is paused or has left buys only what is owed, but at least the smallest top-up.
    """
    currency = rule.wallet.currency
    shortfall = -money.floor_amount(-owed, currency)
    if terms.maximum is not None:
        shortfall = min(shortfall, money.floor_amount(terms.maximum, currency))
    least = (terms.minimum or ZERO) if _is_idle(rule) else rule.amount
    wanted = max(least, shortfall)
    return wanted if room is None else min(wanted, money.floor_amount(room, currency))


def _has_left(rule: AutoRefill) -> bool:
    """Return whether the customer's last subscription has ended since this was set."""
    ended_at = port.billing().service_ended_at(rule.book, rule.wallet.currency)
    return ended_at is not None and ended_at != rule.set_after


def _owed(book: Book, currency: str) -> Decimal:
    """Return what the next credits of a currency have to pay."""
    return port.billing().owed([book.pk]).get((book.pk, currency), ZERO)


def _is_idle(rule: AutoRefill) -> bool:
    return rule.wallet.spend_state == SpendState.PAUSED or _has_left(rule)


def _is_over(rule: AutoRefill) -> bool:
    """Return whether a rule has nothing to do any more: service has ended, and nothing is owed."""
    return _has_left(rule) and _owed(rule.book, rule.wallet.currency) == 0


def _may_charge(rule: AutoRefill) -> bool:
    """Return whether a payment may be taken: from a customer who is paused, suspended or has left
    only for what is owed.
    """
    if rule.wallet.spend_state == SpendState.ACTIVE and not _has_left(rule):
        return True
    return _owed(rule.book, rule.wallet.currency) > 0


def _is_low(rule: AutoRefill, now: datetime) -> bool:
    """Return whether what can be spent has come down to the threshold."""
    return _available(rule, now) <= rule.threshold


def _available(rule: AutoRefill, now: datetime) -> Decimal:
    """Return what can be spent; a hold ends at its moment, whether or not that is on record."""
    lots = [
        lot
        for lot in queries.open_lots([rule.book_id]).filter(wallet=rule.wallet)
        if queries.is_alive(lot, now)
    ]
    due = reservation_holds.due_by_lot(book=rule.book, lots=lots, moment=now)
    for lot in lots:
        lot.held -= due.get(lot.id, ZERO)
    return sum((lot.available for lot in lots), ZERO)


def _due_at(rule: AutoRefill, now: datetime) -> datetime | None:
    """Return when a rule may fill its wallet: `now`, later for a back-off or a cap, or never
    (None).

    None while the wallet is above the threshold, nor while a payment is in flight, nor for a
    customer who is paused, suspended or has left and owes nothing.
    """
    if TopUp.objects.filter(auto_refill=rule, status=TopUpStatus.PENDING).exists():
        return None
    if not _is_low(rule, now) or not _may_charge(rule):
        return None
    moment = max(now, rule.next_attempt_at or now, _rested_at(rule) or now)
    return next((cap.ends_at for cap in _caps(rule, moment) if cap.is_reached(rule)), moment)


def _rested_at(rule: AutoRefill) -> datetime | None:
    """Return when the interval after the last refill is over; failed ones do not count."""
    if rule.min_interval is None:
        return None
    begun = rule.top_ups.exclude(status=TopUpStatus.FAILED)
    last = begun.order_by("-created_at").values_list("created_at", flat=True).first()
    return None if last is None else last + timedelta(seconds=rule.min_interval)


@dataclass(frozen=True, slots=True)
class _Cap:
    """What the caps of a day or month leave: refills, and money; None where there is no cap."""

    ends_at: datetime
    refills: int | None
    room: Decimal | None

    def is_reached(self, rule: AutoRefill) -> bool:
        """Return whether no refill of the rule's amount fits any more."""
        is_full = self.refills is not None and self.refills <= 0
        return is_full or (self.room is not None and self.room < rule.amount)


def _caps(rule: AutoRefill, moment: datetime) -> list[_Cap]:
    """Return what is left of the month and of the day (UTC) of a moment, the longer one first."""
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    month = day.replace(day=1)
    next_month = (month + timedelta(days=31)).replace(day=1)
    return [
        _cap(rule, month, next_month, rule.max_per_month, rule.max_amount_per_month),
        _cap(rule, day, day + timedelta(days=1), rule.max_per_day, rule.max_amount_per_day),
    ]


def _cap(
    rule: AutoRefill, since: datetime, until: datetime, most: int | None, money_cap: Decimal | None
) -> _Cap:
    """Return what is left of a period's caps; failed refills do not count."""
    if most is None and money_cap is None:
        return _Cap(until, None, None)
    begun = rule.top_ups.filter(created_at__gte=since, created_at__lt=until)
    amounts = begun.exclude(status=TopUpStatus.FAILED).values_list("amount", flat=True)
    left = None if money_cap is None else money_cap - sum(amounts, ZERO)
    return _Cap(until, None if most is None else most - len(amounts), left)


def due_on_clock(
    *, clock_id: UUID, now: datetime
) -> list[tuple[datetime, int, tuple[object, ...]]]:
    """Return the refills and gateway answers that fall due on a test clock: the moment, the book,
    and an identity that is the same until it is done.
    """
    waiting = TopUp.objects.filter(
        book__test_clock=clock_id, status=TopUpStatus.PENDING, channel=TopUpChannel.GATEWAY
    ).select_related("book")
    due: list[tuple[datetime, int, tuple[object, ...]]] = [
        (SANDBOX.answers_at(payments.charge_of(one)[1]), one.book_id, ("payment", one.pk))
        for one in waiting
    ]
    for rule in _rules(list(Book.objects.filter(test_clock=clock_id).values_list("pk", flat=True))):
        moment = _due_at(rule, now)
        last = rule.top_ups.order_by("-created_at").first()
        if moment is not None:
            at = moment if last is None else max(moment, last.created_at + GAP)
            due.append((at, rule.book_id, ("refill", rule.pk, None if last is None else last.pk)))
    return [(max(at, now), book_id, what) for at, book_id, what in due]
