"""Everything that can happen to a balance, apart from debits (see `wallets.engine`).

Every function locks the customer's book, runs in one transaction, and takes an idempotency key
where a client calls it: the same key and content gives the first answer again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from aforo import money
from aforo.api.idempotency import canonical, check_same
from aforo.errors import FieldError, Invalid, NotCovered
from aforo.ids import new_id
from aforo.sandbox.services import now_for
from ledger import recipes
from ledger import services as ledger
from ledger.chain import MovementLine
from ledger.models import Book, Event
from pricing.models import BillingMode, Kind, Metric
from wallets import hooks
from wallets.answers import Answer, answer, grant_answer
from wallets.journal import Journal, lot_document, new_lot
from wallets.models import (
    CreditLot,
    Movement,
    Operation,
    Source,
    SpendState,
    TopUp,
    TopUpStatus,
    UnitWallet,
    Wallet,
)

ZERO = Decimal(0)
GRANT = "POST /v1/wallets/grants"
TOP_UP = "POST /v1/wallets/top-ups"


class PaymentDeclined(NotCovered):
    default_code = "payment_declined"


def _once(
    *,
    livemode: bool,
    customer_id: str,
    key: str,
    endpoint: str,
    content: object,
    make: Callable[[Book, UUID], dict[str, object]],
) -> Answer:
    """Run `make` under the book's lock, at most once for ever per (book, key).

    Raises: UnknownCustomer, KeyReused, and whatever `make` raises; then the key stays free.
    """
    book_id = ledger.get_book(livemode=livemode, key=customer_id).pk
    meaning = canonical(content)
    with transaction.atomic():
        book = ledger.lock_book(book_id=book_id)
        first = Operation.objects.filter(book=book, key=key).first()
        if first is not None:
            check_same(key=key, first=(first.endpoint, first.content), again=(endpoint, meaning))
            return Answer(first.status, first.body, replayed=True)
        operation_id = new_id()
        given = answer(201, make(book, operation_id))
        Operation.objects.create(
            id=operation_id,
            book=book,
            key=key,
            endpoint=endpoint,
            content=meaning,
            status=given.status,
            body=given.body,
            created_at=now_for(book),
        )
        return given


def money_wallet(*, book: Book, currency: str) -> Wallet:
    """Give the customer's wallet in a currency, opened if need be. The book must be locked."""
    return Wallet.objects.get_or_create(book=book, currency=currency)[0]


def unit_wallet(*, book: Book, metric: Metric) -> UnitWallet:
    """Give the customer's unit wallet of a metric, opened if need be. The book must be locked."""
    wallet, _ = UnitWallet.objects.get_or_create(book=book, metric=metric)
    wallet.metric = metric
    return wallet


def find_metric(*, livemode: bool, code: str) -> Metric:
    """Find a metric by code.

    Raises: Invalid (`unknown_metric`).
    """
    metric = Metric.objects.filter(livemode=livemode, code=code).first()
    if metric is None:
        raise Invalid([FieldError("/metric", "unknown_metric", f"There is no metric {code}.")])
    return metric


@dataclass(frozen=True, slots=True)
class SpendRules:
    """How a customer's wallets may be spent, as its oldest live subscription says."""

    billing_mode: str = BillingMode.PREPAID
    burn_order: tuple[str, ...] = (Kind.PROMO, Kind.BONUS, Kind.CASH)
    overage_limit: Decimal | None = None
    spend_state: str = SpendState.ACTIVE


def apply_rules(*, wallets: Sequence[Wallet | UnitWallet], rules: SpendRules) -> None:
    """Write spend rules to wallets. The book must be locked."""
    for wallet in wallets:
        wallet.billing_mode = rules.billing_mode
        wallet.burn_order = list(rules.burn_order)
        wallet.overage_limit = rules.overage_limit
        wallet.spend_state = rules.spend_state
        wallet.save(update_fields=["billing_mode", "burn_order", "overage_limit", "spend_state"])


def _check_expiry(expires_at: datetime | None, now: datetime) -> None:
    if expires_at is not None and expires_at <= now:
        raise Invalid([FieldError("/expires_at", "in_the_past", "It must be in the future.")])


def grant(
    *,
    livemode: bool,
    customer_id: str,
    key: str,
    kind: str,
    reason: str,
    amount: Decimal | None = None,
    currency: str | None = None,
    metric: str | None = None,
    quantity: Decimal | None = None,
    expires_at: datetime | None = None,
    priority: int = 100,
    source: str = Source.MANUAL,
) -> Answer:
    """Give PROMO or BONUS credits: money of a currency, or units of a metric.

    They hold no consideration, so nothing is posted, except for GOODWILL money, which reduces
    revenue at face (FINANCE 3, event 9).
    """

    def make(book: Book, operation_id: UUID) -> dict[str, object]:
        now = now_for(book)
        _check_expiry(expires_at, now)
        lot = _granted_lot(book, now)
        journal = Journal()
        draft = journal.entry(
            book=book,
            event=Event.GRANT,
            occurred_at=now,
            document={"key": key, **lot_document(lot)},
        )
        draft.grant(lot)
        if source == Source.GOODWILL:
            draft.lines += recipes.goodwill_granted(
                face=lot.carrying, currency=lot.currency, lot=lot.id
            )
        journal.write()
        hooks.credits_arrived(book)
        wallet = lot.wallet or lot.unit_wallet
        assert wallet is not None, "a lot has one wallet"
        return grant_answer(
            id=operation_id,
            book=book,
            wallet=wallet,
            lots=[lot],
            entry=draft.id,
            extra=_measured(lot) | {"kind": lot.kind, "reason": reason},
        )

    def _granted_lot(book: Book, now: datetime) -> CreditLot:
        if metric is not None:
            assert quantity is not None, "the edge validates the pair"
            found = find_metric(livemode=livemode, code=metric)
            wallet: Wallet | UnitWallet = unit_wallet(book=book, metric=found)
            face = quantity
        else:
            assert amount is not None, "the edge validates the pair"
            assert currency is not None, "the edge validates the pair"
            wallet, face = money_wallet(book=book, currency=currency), amount
        is_goodwill = source == Source.GOODWILL and metric is None
        return new_lot(
            wallet=wallet,
            kind=kind,
            source=source,
            quantity=face,
            now=now,
            carrying=face if is_goodwill else ZERO,
            priority=priority,
            reason=reason,
            expires_at=expires_at,
        )

    return _once(
        livemode=livemode,
        customer_id=customer_id,
        key=key,
        endpoint=GRANT,
        content={
            "customer_id": customer_id,
            "kind": kind,
            "amount": amount,
            "currency": currency,
            "metric": metric,
            "quantity": quantity,
            "expires_at": expires_at,
            "priority": priority,
            "reason": reason,
            "source": source,
        },
        make=make,
    )


def _measured(lot: CreditLot) -> dict[str, object]:
    if lot.unit_wallet is None:
        return {"amount": lot.face, "currency": lot.currency}
    return {"metric": lot.unit_wallet.metric.code, "quantity": lot.face}


@dataclass(frozen=True, slots=True)
class Bonus:
    """What comes with a top-up: money of its currency, or units of a metric."""

    amount: Decimal | None = None
    metric: str | None = None
    quantity: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Payment:
    """How a top-up is paid."""

    method: str


# The sandbox's gateway answers by the name of the method.
TEST_METHODS = {"test_ok": True, "test_declined": False}


def top_up(
    *,
    livemode: bool,
    customer_id: str,
    key: str,
    amount: Decimal,
    currency: str,
    payment: Payment | None = None,
    bonus: Bonus | None = None,
    expires_at: datetime | None = None,
) -> Answer:
    """Buy CASH credits, paid at once, with the bonus that comes with them.

    What was paid is split over the money lots by face value (effective rate: 100 + 20 for 100.00
    carry 83.33 and 16.67, FINANCE 4.2); bonus units carry nothing. A live payment has been taken
    elsewhere and is named by its method; the sandbox knows `test_ok` and `test_declined`.

    Raises: PaymentDeclined; Invalid (`payment_required`, `unknown_payment_method`).
    """
    method = _paid_by(livemode=livemode, payment=payment)

    def make(book: Book, operation_id: UUID) -> dict[str, object]:
        now = now_for(book)
        _check_expiry(expires_at, now)
        wallet = money_wallet(book=book, currency=currency)
        bought = TopUp.objects.create(
            id=operation_id,
            book=book,
            wallet=wallet,
            amount=amount,
            method=method,
            status=TopUpStatus.SUCCEEDED,
            created_at=now,
            paid_at=now,
        )
        lots = _bought_lots(
            top_up=bought, wallet=wallet, bonus=bonus, expires_at=expires_at, now=now
        )
        entry = _sell(book=book, key=key, lots=lots, now=now, method=method)
        hooks.credits_arrived(book)
        return grant_answer(
            id=bought.id,
            book=book,
            wallet=wallet,
            lots=lots,
            entry=entry,
            extra={"status": bought.status, "amount": amount, "currency": currency},
        )

    return _once(
        livemode=livemode,
        customer_id=customer_id,
        key=key,
        endpoint=TOP_UP,
        content={
            "customer_id": customer_id,
            "amount": amount,
            "currency": currency,
            "payment": method,
            "bonus": None
            if bonus is None
            else {"amount": bonus.amount, "metric": bonus.metric, "quantity": bonus.quantity},
            "expires_at": expires_at,
        },
        make=make,
    )


def _paid_by(*, livemode: bool, payment: Payment | None) -> str:
    if livemode:
        if payment is None:
            detail = "Say how it was paid: payment.method."
            raise Invalid([FieldError("/payment", "payment_required", detail)])
        return payment.method
    method = "test_ok" if payment is None else payment.method
    if method not in TEST_METHODS:
        detail = f"The sandbox knows {', '.join(TEST_METHODS)}."
        raise Invalid([FieldError("/payment/method", "unknown_payment_method", detail)])
    if not TEST_METHODS[method]:
        raise PaymentDeclined("The payment was declined; nothing was changed.")
    return method


def _bought_lots(
    *,
    top_up: TopUp,
    wallet: Wallet,
    bonus: Bonus | None,
    expires_at: datetime | None,
    now: datetime,
) -> list[CreditLot]:
    """Make the cash lot and the bonus lot of a purchase, with their share of what was paid."""
    shares = [top_up.amount]
    if bonus is not None and bonus.amount is not None:
        shares = money.split(top_up.amount, [top_up.amount, bonus.amount])
    lots = [
        new_lot(
            wallet=wallet,
            kind=Kind.CASH,
            source=Source.TOP_UP,
            quantity=top_up.amount,
            carrying=shares[0],
            now=now,
            expires_at=expires_at,
            top_up_id=top_up.id,
        )
    ]
    if bonus is not None:
        given: Wallet | UnitWallet = wallet
        if bonus.metric is not None:
            metric = find_metric(livemode=top_up.book.livemode, code=bonus.metric)
            given = unit_wallet(book=top_up.book, metric=metric)
        face = bonus.amount if bonus.metric is None else bonus.quantity
        assert face is not None, "the edge validates the pair"
        lots.append(
            new_lot(
                wallet=given,
                kind=Kind.BONUS,
                source=Source.TOP_UP,
                quantity=face,
                carrying=shares[1] if len(shares) > 1 else ZERO,
                currency=wallet.currency,
                now=now,
                expires_at=expires_at,
                top_up_id=top_up.id,
            )
        )
    return lots


def _sell(*, book: Book, key: str, lots: Sequence[CreditLot], now: datetime, method: str) -> UUID:
    """Issue bought lots in one entry that posts what was paid to their liabilities."""
    journal = Journal()
    draft = journal.entry(
        book=book,
        event=Event.TOP_UP,
        occurred_at=now,
        document={"key": key, "method": method, "lots": [lot_document(lot) for lot in lots]},
    )
    for lot in lots:
        draft.grant(lot)
        draft.lines += recipes.credits_sold(
            kind=lot.kind,
            source=lot.source,
            carrying=lot.carrying,
            currency=lot.currency,
            lot=lot.id,
            paid_into=recipes.CLEARING,
        )
    journal.write()
    return draft.id


def issue(
    *, book: Book, lots: Sequence[CreditLot], occurred_at: datetime, document: dict[str, object]
) -> None:
    """Issue granted lots that hold no consideration, in one entry. The book must be locked.

    A lot whose `cause` the book has had before is left out: a grant never comes twice.
    """
    causes = [lot.cause for lot in lots if lot.cause]
    had = set(CreditLot.objects.filter(book=book, cause__in=causes).values_list("cause", flat=True))
    fresh = [lot for lot in lots if lot.cause not in had]
    if not fresh:
        return
    journal = Journal()
    draft = journal.entry(
        book=book,
        event=Event.GRANT,
        occurred_at=occurred_at,
        document={**document, "lots": [lot_document(lot) for lot in fresh]},
    )
    for lot in fresh:
        draft.grant(lot)
    journal.write()


def expire(*, book: Book, until: datetime) -> int:
    """Lapse what expired at or before `until`, each lot at its own moment; held parts stay.

    The book must be locked. Safe to repeat: a lapsed lot has nothing left. Gives the number of
    lots that lapsed.
    """
    due = CreditLot.objects.filter(book=book, remaining__gt=0, expires_at__lte=until).order_by(
        "expires_at", "id"
    )
    journal = Journal()
    lapsed = 0
    for lot in due:
        if lot.remaining == lot.held:
            continue
        assert lot.expires_at is not None, "the filter asks for an expiry"
        draft = journal.entry(
            book=book,
            event=Event.EXPIRY,
            occurred_at=lot.expires_at,
            document={"lot": str(lot.id), "kind": lot.kind},
        )
        draft.expire(lot)
        lapsed += 1
    journal.write()
    return lapsed


def lapsing_books(*, livemode: bool | None, until: datetime) -> list[int]:
    """Give the books with something to lapse, those on a test clock left out (they advance)."""
    due = CreditLot.objects.filter(remaining__gt=0, expires_at__lte=until, book__test_clock=None)
    if livemode is not None:
        due = due.filter(book__livemode=livemode)
    return list(due.order_by("book_id").values_list("book_id", flat=True).distinct())


def movement_lines(entry_ids: Sequence[UUID]) -> dict[UUID, list[MovementLine]]:
    """Give the movements of entries as the hash chain saw them."""
    lines: dict[UUID, list[MovementLine]] = {}
    moved = Movement.objects.filter(entry_id__in=entry_ids).order_by("entry_id", "position")
    for m in moved:
        line = MovementLine(m.lot_id, m.kind, m.quantity, m.carrying, m.balance_after, m.held_after)
        lines.setdefault(m.entry_id, []).append(line)
    return lines
