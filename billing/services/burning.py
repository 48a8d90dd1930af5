"""Credits pay for usage of their lifetime: metered usage is burned before a lot lapses, and for
PREPAID every few minutes (DECISIONS 16, 26).

The open cycle is priced up to a moment by the settlement's own stages, as if nothing had been
burned of it yet, and what credits then pay is brought to that. Only lots that have lapsed keep what
they paid. So what a cycle ends with depends on usage, lots and their lapses, never on how often or
how late this ran.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from django.db.models import F, Max

from aforo.sandbox.services import now_for
from billing import pipeline
from billing.models import Settlement, Subscription
from billing.pipeline import load, paid, proration
from billing.pipeline import usage as usages
from billing.pipeline.draft import Draft
from billing.services import cycles, subscriptions
from ledger.models import Book, Event
from wallets import reads
from wallets import services as wallets
from wallets.journal import Journal
from wallets.models import CreditLot

MICROSECOND = timedelta(microseconds=1)


def open_cycles(*, book: Book, at: datetime) -> list[Subscription]:
    """Give the live subscriptions whose open cycle began before a moment, the oldest first."""
    live = Subscription.objects.filter(
        customer=book.pk, status__in=subscriptions.RUNNING, current_starts_at__lt=at
    ).select_related("customer__book", "version__plan", "offering")
    return list(live.order_by("starts_at", "created_at", "pk"))


def forecast(
    *,
    book: Book,
    subscription: Subscription,
    until: datetime,
    pays: Callable[[CreditLot], bool],
    received_by: datetime | None = None,
) -> Draft:
    """Price the metered usage of an open cycle up to a moment, and let the lots pay it.

    Fees and the minimum spend are left out: they fall due at the cycle's end.
    """
    cycle = stand_in(subscription)
    draft = load.load(
        book=book,
        subscription=subscription,
        settlement=cycle,
        usage=usages.read_part(
            subscription=subscription,
            starts_at=cycle.starts_at,
            ends_at=min(until, cycle.ends_at),
            received_by=received_by,
        ),
        full_period=cycles.period_of(subscription, subscription.cycle),
        until=until,
        pays=pays,
    )
    return pipeline.run(pipeline.to_date(proration.prorate(draft)))


def stand_in(subscription: Subscription) -> Settlement:
    """Stand in for the settlement that the open cycle will have; never saved."""
    return Settlement(
        subscription=subscription,
        book_id=subscription.customer_id,
        cycle=subscription.cycle,
        starts_at=subscription.current_starts_at,
        ends_at=subscription.current_ends_at,
    )


def burn_through(*, book: Book, until: datetime) -> list[tuple[Subscription, Draft]]:
    """Lapse what is due, then burn the metered usage of every open cycle up to `until` from the
    lots alive then; give each open cycle with its draft, whose `to_invoice` or `arrears` is what
    credits do not cover.

    The book must be locked. At the customer's now, credits get back what they no longer owe;
    for an earlier moment (a month's end) nothing is taken back, because later usage has been paid.
    """
    lapse(book=book, until=until)
    is_now = until >= now_for(book)
    # What was metered at this very moment counts now, and at a month's end in the next month.
    before = until + MICROSECOND if is_now else until
    return [
        (
            subscription,
            _burn(
                book,
                subscription,
                until=before,
                pays=lambda lot: reads.is_alive(lot, until),
                may_lower=lambda lot: is_now,
            ),
        )
        for subscription in open_cycles(book=book, at=before)
    ]


def lapse(*, book: Book, until: datetime) -> int:
    """End the holds that timed out, and lapse what expired, lapse grace included, by `until`, each
    lot after it has paid for the usage of its lifetime; give the number of lots. The book must be
    locked.

    An unsettled cycle that ends at or before an expiry holds it back, because the lot still pays
    for that cycle (DECISIONS 16).
    """
    ends = [cycle.current_ends_at for cycle in open_cycles(book=book, at=until)]
    held_back = [end - MICROSECOND for end in ends if end <= until]
    lapsed = lapse_through(book=book, limit=min([until - lapse_grace(book=book), *held_back]))
    wallets.release_due(book=book, until=min([until, *held_back]))
    return lapsed


def lapse_through(*, book: Book, limit: datetime) -> int:
    """Lapse what expired at or before `limit`, grace or not, each lot at its own moment.

    Counted is usage received no later than the expiry plus the grace, whenever this runs.
    """
    lapsed = 0
    grace = lapse_grace(book=book)
    for moment in _expiries(book, limit):
        wallets.release_due(book=book, until=moment)
        for subscription in open_cycles(book=book, at=moment):
            _burn(
                book,
                subscription,
                until=moment,
                pays=_lived_until(moment),
                may_lower=_lapses_at(moment),
                received_by=moment + grace,
            )
        lapsed += wallets.expire(book=book, until=moment)
    return lapsed


def _expiries(book: Book, limit: datetime) -> list[datetime]:
    lots = CreditLot.objects.filter(
        book=book, remaining__gt=F("held"), expires_at__lte=limit, frozen_at=None
    )
    moments = lots.order_by("expires_at").values_list("expires_at", flat=True).distinct()
    return [moment for moment in moments if moment is not None]


def lapse_grace(*, book: Book) -> timedelta:
    """Give how long after an expiry usage may still arrive: the longest of the live plans."""
    live = Subscription.objects.filter(customer=book.pk, status__in=subscriptions.LIVE)
    hours = live.aggregate(longest=Max("version__lapse_grace_hours"))["longest"]
    return timedelta(hours=hours or 0)


def _lived_until(moment: datetime) -> Callable[[CreditLot], bool]:
    """Name the lots granted before a moment that live at it or lapse exactly then."""
    return lambda lot: (
        lot.effective_at < moment and (lot.expires_at is None or lot.expires_at >= moment)
    )


def _lapses_at(moment: datetime) -> Callable[[CreditLot], bool]:
    return lambda lot: lot.expires_at == moment


def _burn(
    book: Book,
    subscription: Subscription,
    *,
    until: datetime,
    pays: Callable[[CreditLot], bool],
    may_lower: Callable[[CreditLot], bool],
    received_by: datetime | None = None,
) -> Draft:
    draft = forecast(
        book=book, subscription=subscription, until=until, pays=pays, received_by=received_by
    )
    journal = Journal()
    entry = journal.entry(
        book=book,
        event=Event.USAGE_BURNED,
        occurred_at=until,
        document={"subscription": str(subscription.pk), "cycle": str(subscription.cycle)},
        at_period_end=True,
    )
    paid.bring_to(
        entry,
        settlement=stand_in(subscription),
        draft=draft,
        may_lower=may_lower,
        given_back=lambda lot: None,
    )
    if entry.movements or entry.lines:
        journal.write()
    return draft
