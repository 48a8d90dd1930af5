"""What the books say, summed from postings; only the accounting date decides the period."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.db.models import QuerySet, Sum

from ledger.models import Account, Posting, Side

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class AccountBalance:
    """An account's turnover in one currency; `balance` is on its normal side."""

    account: str
    name: str
    currency: str
    debit: Decimal
    credit: Decimal
    balance: Decimal


def _sums(postings: QuerySet[Posting], side: str) -> dict[tuple[str, str], Decimal]:
    rows = postings.values_list(side, "currency").annotate(total=Sum("amount")).order_by()
    return {(account, currency): total for account, currency, total in rows}


def trial_balance(
    *, livemode: bool, as_of: date | None = None, currency: str | None = None
) -> list[AccountBalance]:
    """Sum the postings of a mode up to and including a day, by account and currency.

    An account that is missing from the chart is shown as such, so that both sides still agree;
    the proof of the books names the entry.
    """
    postings = Posting.objects.filter(entry__book__livemode=livemode)
    if as_of is not None:
        postings = postings.filter(entry__accounting_date__lte=as_of)
    if currency is not None:
        postings = postings.filter(currency=currency)
    debited, credited = _sums(postings, "debit_id"), _sums(postings, "credit_id")
    accounts = Account.objects.in_bulk()
    balances = []
    for code, unit in sorted({*debited, *credited}):
        account = accounts.get(code) or Account(
            code=code, name="(not in the chart)", normal=Side.DEBIT
        )
        debit, credit = debited.get((code, unit), ZERO), credited.get((code, unit), ZERO)
        balance = debit - credit if account.normal == Side.DEBIT else credit - debit
        balances.append(AccountBalance(code, account.name, unit, debit, credit, balance))
    return balances
