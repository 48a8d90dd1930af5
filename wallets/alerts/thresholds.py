"""The thresholds of a wallet, set together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import transaction

from aforo import money
from aforo.errors import FieldError, Invalid
from ledger.entries import books
from ledger.models import Book
from wallets.lots import provisioning
from wallets.models import AlertThreshold, AlertUnit, UnitWallet, Wallet

MOST = 20
# What is kept of the feed reaches back further than any credits are told of as expiring.
MOST_DAYS = {AlertUnit.RUNWAY_DAYS: 3_650, AlertUnit.EXPIRING_DAYS: 90}


@dataclass(frozen=True, slots=True)
class Threshold:
    """A threshold as it is asked for."""

    at: Decimal
    unit: str
    mail: bool = True


@transaction.atomic
def set_thresholds(
    *,
    livemode: bool,
    customer_id: str,
    thresholds: Sequence[Threshold],
    currency: str = "",
    metric: str = "",
) -> list[AlertThreshold]:
    """Set all thresholds of a customer's wallet in a currency, or of a metric; none removes them.

    One that was there keeps its state, so that it is not told again. Raises: UnknownCustomer,
    Invalid naming every fault.
    """
    faults = [*_unit_faults(currency, metric), *_faults(thresholds)]
    if faults:
        raise Invalid(faults)
    book = books.lock_book(book_id=books.get_book(livemode=livemode, key=customer_id).pk)
    wallet = _wallet(book, currency, metric)
    wanted = {_key(each): each for each in thresholds}
    for row in of_wallet(wallet):
        kept = wanted.pop((row.unit, row.at), None)
        if kept is None:
            row.delete()
        elif kept.mail != row.mail:
            row.mail = kept.mail
            row.save(update_fields=["mail"])
    of: dict[str, Any] = (
        {"wallet": wallet} if isinstance(wallet, Wallet) else {"unit_wallet": wallet}
    )
    for each in wanted.values():
        AlertThreshold.objects.create(book=book, unit=each.unit, at=each.at, mail=each.mail, **of)
    return of_wallet(wallet)


@transaction.atomic
def add(*, wallet: Wallet | UnitWallet, threshold: Threshold) -> AlertThreshold:
    """Set one more threshold of a wallet, or whether the customer is written to about one.

    Raises: Invalid.
    """
    kept = [each for each in _as_set(wallet) if (each.unit, each.at) != _key(threshold)]
    rows = _set_of(wallet, [*kept, threshold])
    return next(row for row in rows if (row.unit, row.at) == _key(threshold))


@transaction.atomic
def remove(*, row: AlertThreshold) -> None:
    """Remove a threshold of a wallet; the others stay."""
    _set_of(
        row.of, [each for each in _as_set(row.of) if (each.unit, each.at) != (row.unit, row.at)]
    )


def check_threshold(threshold: Threshold, wallets: Sequence[Wallet | UnitWallet | None]) -> None:
    """Check one threshold, which is of one of two wallets.

    Raises: Invalid.
    """
    faults = list(_at_faults(threshold, "/at"))
    if sum(wallet is not None for wallet in wallets) != 1:
        faults.append(FieldError("/wallet", "required", "Name a wallet of money, or of units."))
    if faults:
        raise Invalid(faults)


def _key(threshold: Threshold) -> tuple[str, Decimal]:
    return threshold.unit, threshold.at


def _as_set(wallet: Wallet | UnitWallet) -> list[Threshold]:
    return [Threshold(row.at, row.unit, row.mail) for row in of_wallet(wallet)]


def _set_of(wallet: Wallet | UnitWallet, wanted: Sequence[Threshold]) -> list[AlertThreshold]:
    book = wallet.book
    return set_thresholds(
        livemode=book.livemode, customer_id=book.key, thresholds=wanted, **wallet.unit
    )


def of_wallet(wallet: Wallet | UnitWallet) -> list[AlertThreshold]:
    """Return the thresholds of a wallet, by what they measure."""
    return list(wallet.alert_thresholds.order_by("unit", "at"))


def of_book(book: Book) -> list[AlertThreshold]:
    """Return the thresholds of a customer with their wallets, those of money first."""
    rows = AlertThreshold.objects.filter(book=book)
    joined = rows.select_related("wallet", "unit_wallet__metric")
    return list(joined.order_by("wallet", "unit_wallet", "unit", "at"))


def watched_books() -> list[int]:
    """Return the books that have thresholds."""
    books_with_some = AlertThreshold.objects.order_by("book").values_list("book", flat=True)
    return list(books_with_some.distinct())


def _wallet(book: Book, currency: str, metric: str) -> Wallet | UnitWallet:
    if currency:
        return provisioning.named_wallet(book=book, currency=currency)
    measured = provisioning.find_metric(livemode=book.livemode, code=metric)
    return provisioning.unit_wallet(book=book, metric=measured)


def _unit_faults(currency: str, metric: str) -> Iterator[FieldError]:
    if bool(currency) == bool(metric):
        yield FieldError("/currency", "required", "Name a currency, or a metric.")


def _faults(thresholds: Sequence[Threshold]) -> Iterator[FieldError]:
    if len(thresholds) > MOST:
        yield FieldError("/thresholds", "too_many", f"At most {MOST} thresholds of a wallet.")
    seen = set()
    for n, each in enumerate(thresholds):
        where = f"/thresholds/{n}/at"
        if _key(each) in seen:
            yield FieldError(where, "repeated", "It is given more than once.")
        seen.add(_key(each))
        yield from _at_faults(each, where)


def _at_faults(each: Threshold, where: str) -> Iterator[FieldError]:
    most = MOST_DAYS.get(AlertUnit(each.unit))
    if each.unit == AlertUnit.PERCENT and each.at > 100:
        yield FieldError(where, "out_of_range", "At most 100 percent.")
    if most is not None and each.at > most:
        yield FieldError(where, "out_of_range", f"At most {most} days.")
    if each.at == 0 and each.unit not in {AlertUnit.AMOUNT, AlertUnit.PERCENT}:
        yield FieldError(where, "not_positive", "It must be above zero.")
    if each.unit == AlertUnit.EXPIRING_DAYS and each.at % 1:
        yield FieldError(where, "out_of_range", f"Whole days, not {money.plain(each.at)}.")
