"""The wallets of a customer, and how they may be spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import connection

from aforo import money
from aforo.database import bulk
from aforo.errors import FieldError, Invalid
from ledger.models import Book
from pricing.models import BillingMode, CreditKind, Metric, OverCapture
from pricing.offerings import credit_units
from wallets.models import SpendState, UnitWallet, Wallet


def money_wallet(*, book: Book, currency: str) -> Wallet:
    """Return the customer's wallet in a currency or credit unit, opened if need be. The book must
    be locked.
    """
    found = bulk.select_models(
        Wallet, "WHERE t.book_id = %s AND t.currency = %s", [book.pk, currency]
    )
    if found:
        return found[0]
    wallet = Wallet.objects.create(book=book, currency=currency)
    wallet.refresh_from_db(fields=["renews_at", "tax_rates"])
    return wallet


def named_wallet(*, book: Book, currency: str, is_new: bool = False) -> Wallet:
    """Return the wallet that a request's `currency` names, a credit unit too, opened if need be;
    with `is_new` new credits go into it. The book must be locked.

    Raises: Invalid (`unknown_currency`, `inactive_unit`).
    """
    if currency not in money.EXPONENTS:
        find = credit_units.find_active_unit if is_new else credit_units.find_credit_unit
        find(livemode=book.livemode, code=currency, pointer="/currency")
    return money_wallet(book=book, currency=currency)


def unopened_wallet(book: Book, currency: str) -> Wallet:
    """Return the wallet of a currency or credit unit of which the customer never had any; it is not
    written.

    Raises: Invalid (`unknown_currency`).
    """
    if currency not in money.EXPONENTS:
        credit_units.find_credit_unit(livemode=book.livemode, code=currency, pointer="/currency")
    return Wallet(book=book, currency=currency)


def unit_wallet(*, book: Book, metric: Metric) -> UnitWallet:
    """Return the customer's unit wallet of a metric, opened if need be. The book must be locked."""
    wallet, _ = UnitWallet.objects.get_or_create(book=book, metric=metric)
    wallet.metric = metric
    return wallet


def find_metric(*, livemode: bool, code: str) -> Metric:
    """Return a metric by code.

    Raises: Invalid (`unknown_metric`).
    """
    metric = Metric.objects.filter(livemode=livemode, code=code).first()
    if metric is None:
        raise Invalid([FieldError("/metric", "unknown_metric", f"There is no metric {code}.")])
    return metric


@dataclass(frozen=True, slots=True)
class SpendRules:
    """How a customer's wallets may be spent: the rules of its oldest live subscription."""

    billing_mode: str = BillingMode.PREPAID
    burn_order: tuple[str, ...] = (CreditKind.PROMO, CreditKind.BONUS, CreditKind.CASH)
    overage_limit: Decimal | None = None
    over_capture: str = OverCapture.REFUSE
    grace_seconds: int = 0
    debt_limit: Decimal | None = None
    spend_state: str = SpendState.ACTIVE
    cycle_starts_at: datetime | None = None
    cycle_ends_at: datetime | None = None


def apply_rules(*, wallets: Sequence[Wallet | UnitWallet], rules: SpendRules) -> None:
    """Write spend rules to wallets; a customer's own limits override those of the rules.

    The book must be locked.
    """
    for wallet in wallets:
        own = wallet.own_overage_limit
        limit = rules.overage_limit if own is None else own
        owed = wallet.own_debt_limit
        debt_limit = rules.debt_limit if owed is None else owed
        table = connection.ops.quote_name(wallet._meta.db_table)
        # Of every cycle that is settled, so the ORM does not compile it.
        with connection.cursor() as cursor:
            cursor.execute(
                f"""
                UPDATE {table} SET billing_mode = %s, burn_order = %s, overage_limit = %s,
                    spend_state = %s, cycle_starts_at = %s, cycle_ends_at = %s, over_capture = %s,
                    grace_seconds = %s, debt_limit = %s
                WHERE id = %s
                """,  # noqa: S608
                [
                    str(rules.billing_mode), list(map(str, rules.burn_order)), limit,
                    str(rules.spend_state), rules.cycle_starts_at, rules.cycle_ends_at,
                    str(rules.over_capture), rules.grace_seconds, debt_limit, wallet.pk,
                ],
            )  # fmt: skip
