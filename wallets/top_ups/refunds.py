"""Refunds: unused cash credits are paid back, and the bonus that came with them is taken back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from uuid import UUID

from django.db.models import Sum

from aforo import money
from aforo.database.after_commit import after_commit
from aforo.errors import FieldError, Invalid, NotCovered
from aforo.money import ZERO
from aforo.protocol.idempotency import Answer
from aforo.sandbox.services import now_for
from ledger import approvals, posting_rules
from ledger.models import ApprovalAction, Book, LedgerEvent
from pricing.models import CreditKind
from wallets import port
from wallets.lots import provisioning, queries
from wallets.lots.credit_journal import CreditJournal, EntryBuilder
from wallets.models import (
    CreditLot,
    DisputeState,
    GatewayRefund,
    Movement,
    MovementKind,
    TopUp,
    Wallet,
)
from wallets.operations import idempotency
from wallets.top_ups import gateway_refunds, sale_tax, ways

REFUND = "wallets.refund"


@dataclass(frozen=True, slots=True)
class _Asked:
    """A refund as a client asked for it."""

    customer_id: str
    amount: Decimal
    currency: str
    reason: str
    top_up: UUID | None = None

    @property
    def content(self) -> dict[str, object]:
        """Return what a repeat under the same key must contain again."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class _Taken:
    """The part taken back of one lot, and the consideration that it carried."""

    lot: CreditLot
    quantity: Decimal
    carrying: Decimal


@dataclass(slots=True)
class _PayOut:
    """The repayment of one top-up, what it would be by itself, the account that the money leaves,
    the tax at sale that goes back with it, and what a gateway is asked for it.
    """

    top_up: TopUp
    amount: Decimal
    alone: Decimal
    account: str
    tax: Decimal
    gateway_refund: GatewayRefund | None = None


@money.exact
def refund(
    *,
    livemode: bool,
    customer_id: str,
    key: str,
    amount: Decimal,
    currency: str,
    reason: str,
    top_up: UUID | None = None,
) -> Answer:
    """Pay `amount` of unused CASH credits back, newest top-up first (docs/accounting.md#e27), or
    those of one `top_up`.

    `currency` may be a credit unit: `amount` is credits, paid back in the currency that was paid
    for them, which is one (docs/decisions.md#d641).

    The bonus that came with them is taken back in proportion; where it is spent, the pay-out is
    cut by what it carried: of 100 + 20 for 100.00 with 15 bonus burned, a refund of 50 takes 50
    cash and 5 bonus and pays 45.83. What is paid back of a top-up is rounded as one sum, half up,
    so that many small refunds never pay more than one; the rest of the consideration is rounding.
    Tax at sale goes back with it: 40 of 100 that cost 120 pay 48.
    Refundable is what was paid for and is unspent, not held, alive and not contested, after what
    was metered has been burned and what is owed has been paid.

    Above a limit it waits for approval. Raises: UnknownCustomer; NotCovered with `available` when
    less is refundable; Invalid (`not_payable`) when these credits are worth nothing that can be
    paid (`paid_currencies`, `unknown_top_up`, `unknown_currency`).
    """
    asked = _Asked(customer_id, amount, currency, reason, top_up)
    return idempotency.once(
        livemode=livemode,
        customer_id=customer_id,
        key=key,
        operation=REFUND,
        content=asked.content,
        make=partial(_within_limit, key=key, asked=asked),
    )


def _within_limit(
    book: Book, operation_id: UUID, key: str, asked: _Asked
) -> dict[str, object] | Answer:
    """Refund, or ask for approval where it is above the limit; what credits of a unit cost counts.

    Raises: NotCovered, Invalid.
    """
    amount, currency = asked.amount, asked.currency
    if currency not in money.EXPONENTS:
        wallet = provisioning.named_wallet(book=book, currency=currency)
        parts = _cash_parts(_bought(book, now_for(book), asked), wallet, amount)
        shares = (money.proportion(lot.carrying, part, lot.face) for lot, part in parts)
        amount, currency = sum(shares, ZERO), parts[0][0].currency
    limited = approvals.within_limit(
        partial(_refund, key=key, asked=asked),
        action=ApprovalAction.REFUND,
        operation=REFUND,
        amount=amount,
        currency=currency,
        content=asked.content,
    )
    return limited(book, operation_id)


def _refund(book: Book, operation_id: UUID, key: str, asked: _Asked) -> dict[str, object]:
    """Recover the credits, pay for them, and write both as one entry."""
    port.billing().money_leaves(book)
    now = now_for(book)
    wallet = provisioning.named_wallet(book=book, currency=asked.currency)
    journal = CreditJournal()
    draft = journal.entry(
        book=book,
        event=LedgerEvent.REFUND,
        occurred_at=now,
        document={
            "key": key,
            "amount": money.plain(asked.amount),
            "currency": asked.currency,
            "reason": asked.reason,
        },
    )
    taken = _take_back(draft, _bought(book, now, asked), wallet, asked.amount)
    paid_out = _pay_out(draft, taken)
    paid = _sum_paid(paid_out, asked.amount)
    draft.document["paid"] = money.plain(paid)
    draft.document |= sale_tax.of_several(_returned(each, taken) for each in paid_out)
    journal.write()
    for each in paid_out:
        each.top_up.save(update_fields=["refunded", "tax_refunded"])
        each.gateway_refund = gateway_refunds.plan(
            top_up=each.top_up, refund_id=operation_id, amount=each.amount + each.tax, now=now
        )
    if any(each.gateway_refund for each in paid_out):
        ask = partial(gateway_refunds.resolve_of, operation_id)
        after_commit("the refund by the gateway", ask)
    return {
        "id": operation_id,
        "customer_id": book.key,
        "currency": asked.currency,
        "amount": asked.amount,
        "refunded": paid,
        **({"paid_currency": taken[0].lot.currency} if wallet.credit_unit else {}),
        "clawed_back": _clawed_back(taken, wallet),
        **_describe(taken, paid_out),
        "balance": queries.balance_of(wallet, now),
        "entry": draft.id,
    }


def _take_back(
    draft: EntryBuilder, bought: Sequence[CreditLot], wallet: Wallet, amount: Decimal
) -> list[_Taken]:
    """Remove the cash from its lots, each part with the bonus that came with it.

    Raises: NotCovered.
    """
    parts = _cash_parts(bought, wallet, amount)
    before = _taken_before(lot for lot, _ in parts)
    taken = []
    for cash, part in parts:
        bonus = _bonus_parts(bought, cash, part, before=before[cash.id])
        account = _account(cash)
        taken += [
            _Taken(lot, quantity, draft.refund(lot, quantity, paid_from=account))
            for lot, quantity in [(cash, part), *bonus]
        ]
    return taken


def _sum_paid(paid_out: Sequence[_PayOut], amount: Decimal) -> Decimal:
    """Return what is paid back in all.

    Raises: Invalid (`not_payable`) when that is nothing. A slice pays nothing also where those
    before it were rounded up: that has been paid, and is no fault.
    """
    paid = sum((each.amount + each.tax for each in paid_out), ZERO)
    if paid == 0 and not any(each.alone for each in paid_out):
        detail = f"{money.plain(amount)} of these credits would pay nothing back."
        raise Invalid([FieldError("/amount", "not_payable", detail)])
    return paid


def _describe(taken: Sequence[_Taken], paid_out: Sequence[_PayOut]) -> dict[str, object]:
    """Return what is paid back of each top-up, and what is taken of each lot."""
    return {
        "pay_outs": [
            {
                "top_up": each.top_up.id,
                "amount": each.amount + each.tax,
                "account": each.account,
                "gateway_refund": None if each.gateway_refund is None else each.gateway_refund.id,
                **({"tax": each.tax} if each.top_up.taxed_at_sale else {}),
            }
            for each in paid_out
        ],
        "lots": [
            {
                "lot": each.lot.id,
                "kind": each.lot.kind,
                "quantity": each.quantity,
                "carrying": each.carrying,
                "remaining": each.lot.remaining,
            }
            for each in taken
        ],
    }


def _bought(book: Book, now: datetime, asked: _Asked) -> list[CreditLot]:
    """Return the lots of paid top-ups, or of the one asked for, that are alive, with something
    free, the newest first.

    What the bank took back in a dispute cannot be paid back. Raises: Invalid (`unknown_top_up`).
    """
    if asked.top_up is not None and not book.top_ups.filter(pk=asked.top_up).exists():
        detail = f"The customer has no top-up {asked.top_up}."
        raise Invalid([FieldError("/top_up", "unknown_top_up", detail)])
    lots = (
        queries.open_lots([book.pk])
        .filter(top_up__paid_at__isnull=False)
        .exclude(top_up__dispute__in=[DisputeState.OPENED, DisputeState.LOST])
        .select_related("top_up")
    )
    alive = [
        lot
        for lot in lots
        if queries.is_alive(lot, now)
        and lot.available > 0
        and asked.top_up in (None, lot.top_up_id)
    ]
    return sorted(alive, key=lambda lot: (lot.granted_at, lot.id), reverse=True)


def _cash_parts(
    bought: Iterable[CreditLot], wallet: Wallet, amount: Decimal
) -> list[tuple[CreditLot, Decimal]]:
    """Return the cash lots that are refunded, with their parts.

    Raises: NotCovered; Invalid (`paid_currencies`) where they were paid in several.
    """
    parts, left = [], amount
    cash = [lot for lot in bought if lot.kind == CreditKind.CASH and lot.wallet_id == wallet.pk]
    paid_in = sorted({lot.currency for lot in cash})
    if len(paid_in) > 1:
        detail = f"They were paid in {' and '.join(paid_in)}: name the purchase."
        raise Invalid([FieldError("/top_up", "paid_currencies", detail)])
    for lot in cash:
        if left > 0:
            parts.append((lot, min(lot.available, left)))
            left -= parts[-1][1]
    if left > 0:
        raise NotCovered(
            f"{money.plain(amount - left)} of the cash credits can be refunded.",
            extra={"shortfall": money.plain(left), "available": money.plain(amount - left)},
        )
    return parts


def _taken_before(lots: Iterable[CreditLot]) -> dict[UUID, Decimal]:
    """Sum what was refunded of lots before; none is left out."""
    before = {lot.id: ZERO for lot in lots}
    refunds = Movement.objects.filter(lot__in=before, kind=MovementKind.REFUND)
    sums = refunds.values_list("lot").annotate(Sum("quantity")).order_by()
    return before | dict(sums)


def _bonus_parts(
    bought: Iterable[CreditLot], cash: CreditLot, part: Decimal, *, before: Decimal
) -> list[tuple[CreditLot, Decimal]]:
    """Return what is due back of the bonus that came with part of a cash lot, as far as it reaches.

    What is due is the growth of one sum, so that many small parts owe what one does.
    """
    parts = []
    for lot in bought:
        if lot.top_up_id == cash.top_up_id and lot.kind == CreditKind.BONUS:
            due = money.proportion(lot.face, before + part, cash.face)
            due -= money.proportion(lot.face, before, cash.face)
            if (quantity := min(due, lot.available)) > 0:
                parts.append((lot, quantity))
    return parts


def _account(lot: CreditLot) -> str:
    """Return the account that a lot's payment came into, which it leaves again."""
    assert lot.top_up is not None, "only what was bought is refunded"
    return ways.account_of(lot.top_up)


def _pay_out(draft: EntryBuilder, taken: Sequence[_Taken]) -> list[_PayOut]:
    """Round what is paid back of each top-up, with what was paid back of it before, and post what
    that leaves; the top-ups are not yet written.
    """
    carried: dict[UUID, Decimal] = {}
    first: dict[UUID, CreditLot] = {}
    for each in taken:
        assert each.lot.top_up_id is not None, "only what was bought is refunded"
        carried[each.lot.top_up_id] = carried.get(each.lot.top_up_id, ZERO) + each.carrying
        first.setdefault(each.lot.top_up_id, each.lot)
    before = queries.refunded_carrying(carried)
    paid_out = []
    for top_up_id, exact in carried.items():
        lot = first[top_up_id]
        assert lot.top_up is not None, "the lots were read with their top-ups"
        whole = money.round_amount(before.get(top_up_id, ZERO) + exact, lot.currency)
        paid = max(whole - lot.top_up.refunded, ZERO)
        lot.top_up.refunded += paid
        account = _account(lot)
        draft.lines += posting_rules.refund_rounded(
            residue=exact - paid, currency=lot.currency, paid_from=account
        )
        tax = sale_tax.of_part(lot.top_up, before.get(top_up_id, ZERO) + exact)
        tax = max(tax - lot.top_up.tax_refunded, ZERO)
        lot.top_up.tax_refunded += tax
        draft.lines += posting_rules.sale_tax_returned(
            tax=tax, currency=lot.currency, paid_from=account
        )
        alone = money.round_amount(exact, lot.currency)
        paid_out.append(_PayOut(lot.top_up, paid, alone, account, tax))
    return paid_out


def _returned(paid_out: _PayOut, taken: Sequence[_Taken]) -> sale_tax.Returned:
    lots = [each.lot for each in taken if each.lot.top_up_id == paid_out.top_up.pk]
    return sale_tax.Returned(paid_out.top_up, lots, paid_out.amount, paid_out.tax)


def _clawed_back(taken: Sequence[_Taken], wallet: Wallet) -> Decimal:
    """Sum the bonus money taken back; units are among the lots."""
    return sum(
        (
            each.quantity
            for each in taken
            if each.lot.kind == CreditKind.BONUS and each.lot.wallet_id == wallet.pk
        ),
        ZERO,
    )
