"""What a wallet spends a day, counted on from entry to entry, so that nothing is read twice."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from django.db import connection

from aforo import money
from aforo.money import ZERO
from ledger.models import Book
from wallets.models import SpentDay, UnitWallet, Wallet

# The longest month.
KEPT: Final = timedelta(days=31)
WEEK: Final = timedelta(days=7)
DAY: Final = timedelta(days=1)

_NEW: Final = """
    SELECT (e.occurred_at AT TIME ZONE 'UTC')::date,
        sum(CASE t.kind WHEN 'BURN' THEN t.quantity ELSE -t.quantity END)
    FROM ledger_entry AS e
    JOIN wallets_movement AS t ON t.entry_id = e.id
    JOIN wallets_creditlot AS l ON l.id = t.lot_id
    WHERE e.book_id = %(book)s AND e.sequence > %(after)s AND e.occurred_at >= %(since)s
        AND t.kind IN ('BURN', 'REVERSE')
        AND (l.wallet_id = %(wallet)s OR l.unit_wallet_id = %(unit_wallet)s)
    GROUP BY 1
"""


def by_day(*, book: Book, wallet: Wallet | UnitWallet, now: datetime) -> Mapping[date, Decimal]:
    """Return what was burned of a wallet on each of the last days, less what came back.

    Counts what is new since it was last asked; the book is locked.
    """
    of: dict[str, Wallet | UnitWallet] = (
        {"wallet": wallet} if isinstance(wallet, Wallet) else {"unit_wallet": wallet}
    )
    rows = {row.day: row for row in SpentDay.objects.filter(**of)}
    after = max((row.through for row in rows.values()), default=0)
    if after == book.sequence:
        return {day: row.spent for day, row in rows.items()}
    # Today's row remembers how far they are counted, also where nothing was spent.
    new = {now.date(): ZERO} | _new(book, of, after, now)
    changed = []
    for day, spent in new.items():
        row = rows.setdefault(day, SpentDay(day=day, spent=ZERO, **of))
        row.spent, row.through = row.spent + spent, book.sequence
        changed.append(row)
    SpentDay.objects.bulk_create(
        changed,
        update_conflicts=True,
        unique_fields=[*of, "day"],
        update_fields=["spent", "through"],
    )
    SpentDay.objects.filter(**of, day__lt=(now - KEPT).date()).delete()
    return {day: row.spent for day, row in rows.items()}


def _new(
    book: Book, of: Mapping[str, Wallet | UnitWallet], after: int, now: datetime
) -> dict[date, Decimal]:
    asked = {
        "book": book.pk,
        "after": after,
        "since": (now - KEPT).replace(hour=0, minute=0, second=0, microsecond=0),
        "wallet": None,
        "unit_wallet": None,
        **{name: wallet.pk for name, wallet in of.items()},
    }
    with connection.cursor() as cursor:
        cursor.execute(_NEW, asked)
        return dict(cursor.fetchall())


def today(days: Mapping[date, Decimal], now: datetime) -> Decimal:
    """Return what was spent on the day of a moment."""
    return days.get(now.date(), ZERO)


def this_month(days: Mapping[date, Decimal], now: datetime) -> Decimal:
    """Return what was spent in the month of a moment."""
    first = now.date().replace(day=1)
    return sum((spent for day, spent in days.items() if day >= first), ZERO)


def runway(days: Mapping[date, Decimal], available: Decimal, now: datetime) -> Decimal | None:
    """Return for how many days credits last at the pace of the last week; None where nothing was
    spent in it.

    The pace is what was spent today and on the six days before, over the time since the first of
    them on which something was, at least a day: 30 spent since midnight two days ago, now noon,
    are 12 a day, and 60 left last 5 days.
    """
    first = (now - WEEK + DAY).date()
    week = {day: spent for day, spent in days.items() if day >= first and spent}
    spent = sum(week.values(), ZERO)
    if spent <= 0:
        return None
    begun = datetime.combine(min(week), datetime.min.time(), tzinfo=now.tzinfo)
    elapsed = max(now - begun, DAY)
    seconds = Decimal(elapsed // timedelta(seconds=1))
    return money.proportion(available, seconds, spent * (DAY // timedelta(seconds=1)))
