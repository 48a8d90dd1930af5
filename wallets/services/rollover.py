"""Roll lots into the next cycle, as their grants say."""

from __future__ import annotations

from datetime import datetime

from aforo import money
from aforo.api.renderers import timestamp
from ledger.models import Book, Event
from pricing.terms import parse_rollover, rolled_quantity
from wallets import holds
from wallets.journal import Journal
from wallets.models import CreditLot


@money.exact
def roll_over(*, book: Book, cause: str, at: datetime, until: datetime) -> int:
    """Roll the lots whose cause begins with `cause` and that lapse exactly at `at`, to `until`.

    What does not roll lapses now; what rolls is the same lot with what it carries, for as many
    further cycles as its rule allows. Held parts roll with it. The book must be locked. Gives the
    number of lots that rolled; repeating rolls none twice, since their expiry has moved.
    """
    lots = CreditLot.objects.filter(
        book=book, remaining__gt=0, expires_at=at, rollover__isnull=False, cause__startswith=cause
    ).order_by("granted_at", "id")
    journal = Journal()
    rolled = 0
    for lot in lots:
        rule = parse_rollover(lot.rollover)
        if rule.cycles is not None and lot.rolled >= rule.cycles:
            continue
        quantity = rolled_quantity(rule, lot.remaining)
        if quantity == 0:
            continue
        lapsing = min(lot.remaining - quantity, lot.remaining - lot.held)
        if lapsing > 0:
            holds.lapse(journal, book, lot, lapsing, at=at)
        draft = journal.entry(
            book=book,
            event=Event.ROLLOVER,
            occurred_at=at,
            document={
                "lot": str(lot.id),
                "rolled": money.plain(lot.remaining),
                "until": timestamp(until),
                "times": str(lot.rolled + 1),
            },
        )
        draft.roll_over(lot, until=until)
        rolled += 1
    journal.write()
    return rolled
