"""Accruals: what open cycles have earned at a month's end and not billed, posted there and taken
back on the 1st, when it is accrued anew or settled (docs/decisions.md#d45).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial

from django.db.models import F, Q

from aforo.database import bulk
from aforo.database.bulk import Writes
from aforo.money import ZERO, plain, to_books
from aforo.periods import Period
from aforo.sandbox.services import now_for
from billing import calculation
from billing.calculation.calculation import Calculation
from billing.models import MonthEnd, Subscription
from billing.settlement import late_usage, rerating, usage_burn
from billing.subscriptions import earned_days
from ledger import posting_rules
from ledger.entries import entries
from ledger.models import Book, Entry, LedgerEvent
from ledger.periods import month_ends
from pricing.models import BillingMode
from wallets.lots import queries
from wallets.lots.consideration_tax import tax_within
from wallets.models import CreditLot, Debit

_KEY, _FIGURES = ["subscription_id", "cycle", "ends_at"], ["usage", "fees", "reached_at"]
_REACHED = "WHERE t.subscription_id = %s AND t.cycle = %s AND t.ends_at = %s"


@dataclass(frozen=True, slots=True)
class Earned:
    """What a cycle has earned by a month's end and not billed, net of tax: usage that no credit
    covers, and fees in arrears.
    """

    usage: Decimal = ZERO
    fees: Decimal = ZERO

    def within(self, most: Decimal | None) -> Earned:
        """Return as much of it as comes to an amount, if there is a limit, usage first."""
        if most is None:
            return self
        usage = min(self.usage, most)
        return Earned(usage, min(self.fees, most - usage))


def of_cycle(
    *, subscription: Subscription, loaded: Calculation, draft: Calculation, end: datetime
) -> Earned:
    """Return what an open cycle, read and priced up to a month's end, has earned by then."""
    period = Period(subscription.current_starts_at, subscription.current_ends_at)
    fees = calculation.fees_to_date(
        loaded, partial(_by_day, period=period, until=end)
    )  # fmt: skip
    uncovered = (payer.net for payer in draft.payers if payer.kind == "INVOICE")
    return Earned(sum(uncovered, ZERO), max(fees, ZERO))


def _by_day(fee: Decimal, *, period: Period, until: datetime) -> Decimal:
    return earned_days.earned(fee=fee, period=period, until=until)


def overage(*, book: Book, currency: str, end: datetime) -> Decimal:
    """Return the overage of debits before a month's end that was open at it, without the tax
    inside: what reversals took back since is of the next month.
    """
    before = Debit.objects.filter(
        book=book, wallet__currency=currency, overage__gt=0, occurred_at__lt=end
    )
    reversed_since = dict[str, Decimal]()
    if before.filter(overage_reversed__gt=0).exists():
        found = Entry.objects.filter(book=book, event=LedgerEvent.REVERSAL, occurred_at__gte=end)
        for debit, amount in found.values_list("document__debit", "document__overage"):
            reversed_since[debit] = reversed_since.get(debit, ZERO) + Decimal(amount)
    is_open = Q(overage__gt=F("overage_billed") + F("overage_reversed"))
    debits = list(before.filter(is_open | Q(pk__in=list(reversed_since))))
    rates = queries.tax_of_debits(debits)
    net = ZERO
    for debit in debits:
        gross = debit.open_overage + reversed_since.get(str(debit.pk), ZERO)
        rate = rates.get(debit.id)
        net += gross if rate is None else gross - tax_within(gross, rate.percent)
    return net


def read_late(*, subscription: Subscription, end: datetime) -> list[late_usage.Late]:
    """Read the usage of before a month's end that arrived since its cycles were settled; this takes
    no lock.
    """
    cycle = usage_burn.stand_in(subscription)
    return late_usage.read_late(settlement=cycle, occurred_before=end)


def late(*, book: Book, subscription: Subscription, found: Sequence[late_usage.Late]) -> Decimal:
    """Return how much more settled cycles owe for the late usage that was read of them and is not
    billed yet.
    """
    cycle = usage_burn.stand_in(subscription)
    changes = (each.change for each in rerating.rerate(book=book, found=found, cycle=cycle))
    return sum((change for change in changes if change > 0), ZERO)


def covered(*, book: Book, subscription: Subscription, end: datetime) -> Decimal | None:
    """Return the credits that were there at a month's end and are left to cover what PREPAID has
    earned besides; None in other modes, which invoice it.
    """
    if subscription.billing_mode != BillingMode.PREPAID:
        return None
    was_there = usage_burn.lived_until(end)
    lots = CreditLot.objects.filter(
        book=book, wallet__currency=subscription.version.plan.currency, remaining__gt=0
    )
    return sum((queries.seen_by_waterfall(lot).available for lot in lots if was_there(lot)), ZERO)


def accrue(*, book: Book, subscription: Subscription, end: datetime, earned: Earned) -> None:
    """Post the difference of what a cycle has earned by a month's end to what is accrued of it
    there, and take it back on the 1st. The book must be locked.
    """
    key = [subscription.pk, subscription.cycle, end]
    found = bulk.select_models(MonthEnd, _REACHED, key)
    before = found[0] if found else MonthEnd(usage=ZERO, fees=ZERO)
    usage, fees = to_books(earned.usage), to_books(earned.fees)
    lines = posting_rules.unbilled_accrued(
        usage=usage - before.usage,
        fees=fees - before.fees,
        currency=subscription.version.plan.currency,
    )
    writes, reached = Writes(), [usage, fees, now_for(book)]
    if found:
        writes.update_rows(MonthEnd, "id", _FIGURES, [[before.pk, *reached]])
    else:
        writes.insert_rows(MonthEnd, [*_KEY, *_FIGURES], [[*key, *reached]])
    if lines:
        entries.append_to(writes, _entries(book, subscription, end, earned, lines))
    writes.execute()


def _entries(
    book: Book,
    subscription: Subscription,
    end: datetime,
    earned: Earned,
    lines: Sequence[posting_rules.PostingLine],
) -> list[entries.EntryDraft]:
    document = {
        "subscription": str(subscription.pk),
        "cycle": str(subscription.cycle),
        "period": f"{month_ends.last_day(end):%Y-%m}",
        "product": subscription.version.plan.code,
        "usage": plain(to_books(earned.usage)),
        "fees": plain(to_books(earned.fees)),
    }
    accrued = entries.EntryDraft(
        book=book,
        event=LedgerEvent.USAGE_ACCRUED,
        occurred_at=end,
        document={**document, "what": "accrued"},
        lines=lines,
        at_period_end=True,
    )
    taken_back = entries.EntryDraft(
        book=book,
        event=LedgerEvent.USAGE_ACCRUED,
        occurred_at=end,
        document={**document, "what": "taken back", "reverses": str(accrued.id)},
        lines=posting_rules.reversal(lines),
    )
    return [accrued, taken_back]
