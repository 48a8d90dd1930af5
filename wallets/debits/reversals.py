"""Reversal of debits, to the same lots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from aforo import money
from aforo.errors import Conflict, FieldError, Invalid, NotFound
from aforo.money import ZERO
from aforo.protocol.idempotency import Answer, KeyedOperation
from aforo.sandbox.services import now_for
from ledger.models import Book, LedgerEvent
from wallets import port
from wallets.budgets import counters
from wallets.holds import reservation_holds
from wallets.lots import queries
from wallets.lots.consideration_tax import tax_within
from wallets.lots.credit_journal import CreditJournal, EntryBuilder
from wallets.lots.queries import measured
from wallets.lots.tax_rates import rate_in
from wallets.models import CreditLot, Debit, Movement, MovementKind, UnitWallet, Wallet
from wallets.operations import idempotency

REVERSE = "wallets.debits.reverse"


class UnknownDebit(NotFound):
    """No debit of the key's mode has this id.

    Use the `id` that the debit or capture answered.
    """

    default_code = "unknown_debit"


class AlreadyReversed(Conflict):
    """All of the debit has been reversed.

    There is nothing left to reverse.
    """

    default_code = "already_reversed"


class OverageInvoiced(Conflict):
    """The debit's overage is on an invoice already.

    Correct the invoice instead, by POST /v1/settlements/{id}/adjust.
    """

    default_code = "overage_invoiced"


@dataclass(frozen=True, slots=True)
class _Return:
    """Credits that go back to one lot; `is_over` if the lot has expired."""

    lot: CreditLot
    quantity: Decimal
    is_over: bool


@money.exact
def reverse(
    *,
    livemode: bool,
    debit_id: UUID,
    key: str,
    reason: str,
    amount: Decimal | None = None,
    quantity: Decimal | None = None,
) -> Answer:
    """Reverse a debit, whole or in part: what is still owed for it first, then its overage, then
    its lots, last burned first.

    What returns to an expired lot pays for metered usage of its lifetime; the rest lapses at once,
    and the answer says so. Raises: UnknownDebit, AlreadyReversed, Invalid (`exceeds_debit`);
    OverageInvoiced where a settlement has billed the overage, which a credit note corrects.
    """
    found = Debit.objects.filter(pk=debit_id, book__livemode=livemode).first()
    if found is None:
        raise UnknownDebit(f"There is no debit {debit_id}.")

    def make(book: Book, operation_id: UUID) -> dict[str, object]:
        debit = Debit.objects.select_related("wallet", "unit_wallet__metric", "entry").get(
            pk=debit_id
        )
        need = _asked(debit, amount, quantity)
        debt = min(need, _open_debt(debit))
        overage = _overage_part(debit, need - debt)
        now = now_for(book)
        journal = CreditJournal()
        draft = journal.entry(
            book=book,
            event=LedgerEvent.REVERSAL,
            occurred_at=now,
            document={
                "key": key,
                "debit": str(debit.id),
                "reverses": str(debit.entry_id),
                "quantity": money.plain(need),
                "overage": money.plain(overage),
                **({"debt": money.plain(debt)} if debt > 0 else {}),
                "reason": reason,
                **_tax_facts(debit),
            },
            attributes=debit.attributes,
        )
        returned = _put_back(draft, debit, need - debt - overage)
        if debit.attributes:
            document = debit.entry.document
            draft.count(counters.reverse(document, before=debit.reversed, quantity=need))
        journal.write()
        debit.reversed += need
        debit.overage_reversed += overage
        debit.debt_reversed += debt
        debit.save(update_fields=["reversed", "overage_reversed", "debt_reversed"])
        if debt > 0:
            port.billing().debt_forgiven(book, debit.pk, debt)
        lapsed = sum(reservation_holds.lapse_returned(journal.returned).values(), ZERO)
        port.billing().credits_arrived(book)
        return {
            **_body(operation_id, book, debit, need, overage, returned, draft),
            **({"debt": debt} if debt > 0 else {}),
            "lapsed": lapsed,
        }

    return idempotency.once_in_book(
        book_id=found.book_id,
        asked=KeyedOperation.of(
            key,
            REVERSE,
            {"debit": debit_id, "amount": amount, "quantity": quantity, "reason": reason},
        ),
        make=make,
        status=200,
    )


def _tax_facts(debit: Debit) -> dict[str, object]:
    rate = rate_in(debit.entry.document)
    return {} if rate is None else rate.facts


def _wallet_of(debit: Debit) -> Wallet | UnitWallet:
    wallet = debit.wallet or debit.unit_wallet
    assert wallet is not None, "a debit is on one wallet"
    return wallet


def _asked(debit: Debit, amount: Decimal | None, quantity: Decimal | None) -> Decimal:
    """Return how much is to be reversed; all that is left where the request names no amount."""
    is_money = debit.wallet_id is not None
    name, asked, wrong = (
        ("amount", amount, quantity) if is_money else ("quantity", quantity, amount)
    )
    if wrong is not None:
        other = "quantity" if is_money else "amount"
        raise Invalid([FieldError(f"/{other}", "invalid", f"The debit has no {other}.")])
    # What the next credits have paid of its debt is a burn of theirs, and stays.
    paid = debit.debt - debit.debt_reversed - _open_debt(debit)
    left = debit.quantity - debit.uncovered - paid - debit.reversed
    if left == 0:
        raise AlreadyReversed("The whole debit was taken back before.")
    if asked is not None and asked > left:
        detail = f"{money.plain(left)} of it is left to take back."
        raise Invalid([FieldError(f"/{name}", "exceeds_debit", detail)])
    return left if asked is None else asked


def _open_debt(debit: Debit) -> Decimal:
    """Return how much of a debit the next credits are still to pay."""
    return port.billing().debt_of(debit.pk) if debit.debt > 0 else ZERO


def _overage_part(debit: Debit, need: Decimal) -> Decimal:
    """Return how much of a reversal is overage, which goes first.

    Raises: OverageInvoiced.
    """
    part = min(need, debit.overage - debit.overage_reversed)
    if part > debit.open_overage:
        raise OverageInvoiced("Its overage is on an invoice: correct that by a credit note.")
    return part


def _put_back(draft: EntryBuilder, debit: Debit, need: Decimal) -> list[_Return]:
    """Return credits to the lots that were burned, last burned first, after what earlier
    reversals put back, each with its part of the tax.
    """
    rate = rate_in(debit.entry.document)
    percent = ZERO if rate is None else rate.percent
    burns = list(
        Movement.objects.filter(entry=debit.entry_id, kind=MovementKind.BURN).order_by("-position")
    )
    lots = CreditLot.objects.in_bulk({burn.lot_id for burn in burns})
    skipped, returned = debit.reversed - debit.overage_reversed - debit.debt_reversed, []
    for burn in burns:
        before = min(skipped, burn.quantity)
        skipped -= before
        quantity = min(burn.quantity - before, need)
        if quantity == 0:
            continue
        need -= quantity
        lot = lots[burn.lot_id]
        tax = tax_within(before + quantity, percent) - tax_within(before, percent)
        draft.reverse(lot, quantity, tax=tax)
        draft.note_return(lot, quantity)
        is_over = lot.expires_at is not None and lot.expires_at <= draft.occurred_at
        returned.append(_Return(lot, quantity, is_over))
    return returned


def _body(
    operation_id: UUID,
    book: Book,
    debit: Debit,
    need: Decimal,
    overage: Decimal,
    returned: Sequence[_Return],
    draft: EntryBuilder,
) -> dict[str, object]:
    wallet = _wallet_of(debit)
    lots = CreditLot.objects.in_bulk([each.lot.id for each in returned])
    return {
        "id": operation_id,
        "debit": debit.id,
        "customer_id": book.key,
        **measured(wallet, need),
        "allocations": [
            {
                "lot": each.lot.id,
                "kind": each.lot.kind,
                "amount": each.quantity,
                "lapsed": each.is_over,
                "balance_after": ZERO if each.is_over else lots[each.lot.id].available,
            }
            for each in returned
        ],
        "overage": overage,
        "reversed": debit.reversed,
        "balance": queries.balance_of(wallet, draft.occurred_at),
        "entry": draft.id,
        "occurred_at": draft.occurred_at,
    }
