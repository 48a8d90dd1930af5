"""Opening balances: the lots of a wallet system that is being replaced (docs/accounting.md#e49)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from decimal import Decimal
from itertools import groupby

from django.db import transaction

from aforo import money
from aforo.errors import FieldError, Invalid
from aforo.money import ZERO
from ledger import approvals, posting_rules
from ledger.approvals import Asked
from ledger.entries import books
from ledger.models import ApprovalAction, ApprovalRequest, Book, LedgerEvent
from pricing.models import CreditKind
from wallets.lots import provisioning
from wallets.lots.credit_journal import CreditJournal
from wallets.lots.new_lots import lot_document, new_lot
from wallets.models import CreditLot, CreditSource, UnitWallet, Wallet

IMPORT = "wallets.opening_balances.import"


@dataclass(frozen=True, slots=True)
class OpeningBalance:
    """A lot as the old system has it: money of `currency`, or units of `metric` that carry
    `carrying` of `currency`. `external_id` names it there, once for ever.
    """

    customer_id: str
    kind: str
    quantity: Decimal
    carrying: Decimal
    external_id: str
    currency: str
    metric: str | None = None
    expires_at: datetime | None = None
    priority: int = 100

    @property
    def cause(self) -> str:
        return f"opening:{self.external_id}"


def check_opening(balance: OpeningBalance, *, livemode: bool, at: datetime) -> bool:
    """Check one balance; return whether it was imported before.

    Raises: UnknownCustomer, Invalid.
    """
    book = books.get_book(livemode=livemode, key=balance.customer_id)
    faults = [FieldError(f"/{field}", "invalid", why) for field, why in _faults(balance, at)]
    if faults:
        raise Invalid(faults)
    if balance.metric is not None:
        provisioning.find_metric(livemode=livemode, code=balance.metric)
    return _had(book, balance) is not None


def _faults(balance: OpeningBalance, at: datetime) -> list[tuple[str, str]]:
    """Return what is wrong with a balance by itself."""
    checks = [
        ("external_id", 0 < len(balance.external_id) <= 200, "It has 1 to 200 characters."),
        (
            "kind",
            balance.kind in CreditKind.values,
            f"It is one of {', '.join(CreditKind.values)}.",
        ),
        ("currency", balance.currency in money.EXPONENTS, "There is no such currency."),
        ("quantity", _fits(balance.quantity) and balance.quantity > 0, "It is above zero."),
        ("carrying", _fits(balance.carrying) and balance.carrying >= 0, "It is not negative."),
        (
            "carrying",
            balance.kind != CreditKind.PROMO or balance.carrying == 0,
            "PROMO holds no consideration.",
        ),
        (
            "expires_at",
            balance.expires_at is None or balance.expires_at > at,
            "It has lapsed before it is brought over.",
        ),
        ("priority", 0 <= balance.priority <= 32_767, "It is 0 to 32767."),
    ]
    return [(field, why) for field, holds, why in checks if not holds]


def _fits(value: Decimal) -> bool:
    """Return whether the books can hold a number."""
    is_exact = value.is_finite() and abs(value) < money.BOOKS_LIMIT
    return is_exact and money.to_books(value) == value


def _had(book: Book, balance: OpeningBalance) -> CreditLot | None:
    """Return the lot that was imported under the same `external_id`.

    Raises: Invalid when it differs.
    """
    lot = CreditLot.objects.filter(book=book, cause=balance.cause).first()
    if lot is not None and (lot.kind, lot.face, lot.carrying) != (
        balance.kind,
        balance.quantity,
        balance.carrying,
    ):
        detail = f"{balance.external_id} was brought over as {lot.kind} {money.plain(lot.face)}."
        raise Invalid([FieldError("/external_id", "reused", detail)])
    return lot


def ask_to_import(
    read: Callable[[], Iterable[OpeningBalance]], *, livemode: bool, at: datetime, now: datetime
) -> int | ApprovalRequest:
    """Import the balances of a file as `import_all` does; above a limit of a currency all of them
    wait for approval. Money counts by its face, units by what they carry.

    Raises: UnknownCustomer, Invalid.
    """
    sums: dict[str, Decimal] = {}
    for each in read():
        worth = each.carrying if each.metric else each.quantity
        sums[each.currency] = sums.get(each.currency, ZERO) + worth
    for currency, amount in sorted(sums.items()):
        asked = Asked(ApprovalAction.IMPORT, IMPORT, None, livemode, now, amount, currency)
        if approvals.is_above(asked):
            balances = [asdict(each) for each in read()]
            waits = approvals.ask(replace(asked, content={"balances": balances, "at": at}))
            assert waits is not None, "it is above the limit"
            return waits
    return import_all(read(), livemode=livemode, at=at)


def import_all(balances: Iterable[OpeningBalance], *, livemode: bool, at: datetime) -> int:
    """Write the opening balances of many customers, customer by customer; return how many were
    new.

    Raises: UnknownCustomer, Invalid.
    """
    return sum(
        import_opening_balances(
            livemode=livemode, customer_id=customer_id, balances=list(theirs), at=at
        )
        for customer_id, theirs in groupby(balances, key=lambda each: each.customer_id)
    )


@transaction.atomic
def import_opening_balances(
    *, livemode: bool, customer_id: str, balances: Sequence[OpeningBalance], at: datetime
) -> int:
    """Write a customer's opening balances in one entry; return how many were new.

    Safe to repeat: what was imported before, by its external id, is left out. Raises:
    UnknownCustomer, Invalid.
    """
    found = books.get_book(livemode=livemode, key=customer_id)
    book = books.lock_book(book_id=found.pk)
    lots = [
        _lot(book, balance, livemode=livemode, at=at)
        for balance in balances
        if _had(book, balance) is None
    ]
    if not lots:
        return 0
    journal = CreditJournal()
    draft = journal.entry(
        book=book,
        event=LedgerEvent.OPENING_BALANCE,
        occurred_at=at,
        document={"lots": [lot_document(lot) for lot in lots]},
    )
    for lot in lots:
        draft.grant(lot)
        draft.lines += posting_rules.opening_balance(
            kind=lot.kind,
            source=lot.source,
            carrying=lot.carrying,
            currency=lot.currency,
            lot=lot.id,
        )
    journal.write()
    return len(lots)


def _lot(book: Book, balance: OpeningBalance, *, livemode: bool, at: datetime) -> CreditLot:
    wallet: Wallet | UnitWallet
    if balance.metric is None:
        wallet = provisioning.money_wallet(book=book, currency=balance.currency)
    else:
        metric = provisioning.find_metric(livemode=livemode, code=balance.metric)
        wallet = provisioning.unit_wallet(book=book, metric=metric)
    return new_lot(
        wallet=wallet,
        kind=balance.kind,
        source=CreditSource.OPENING,
        quantity=balance.quantity,
        carrying=balance.carrying,
        currency=balance.currency,
        cause=balance.cause,
        priority=balance.priority,
        expires_at=balance.expires_at,
        now=at,
    )


def totals(balances: Iterable[OpeningBalance]) -> dict[tuple[str, str], tuple[Decimal, Decimal]]:
    """Sum quantity and carrying by kind and unit: the figures of the old report."""
    summed: dict[tuple[str, str], tuple[Decimal, Decimal]] = {}
    for balance in balances:
        key = (balance.kind, balance.metric or balance.currency)
        quantity, carrying = summed.get(key, (ZERO, ZERO))
        summed[key] = (quantity + balance.quantity, carrying + balance.carrying)
    return summed
