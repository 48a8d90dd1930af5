"""Burns at a month's end: what credits paid of a cycle by then is dated then, whoever comes late.

Requests burn metered usage at their own moment, also usage of a month that ended before. What was
burned after the end and belongs before it is returned on the 1st and burned at the end again: lots
and the cycle's burns stay as they are, and each month has its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import Q, Sum

from aforo import money
from aforo.money import ZERO
from billing.calculation import presentation
from billing.calculation.calculation import Calculation
from billing.models import CycleBurn, Subscription
from billing.settlement import cycle_burns, usage_burn
from ledger.models import Book, LedgerEvent
from ledger.periods import month_ends
from wallets.lots.credit_journal import Burn, CreditJournal, EntryBuilder
from wallets.models import CreditLot, Movement, MovementKind


def burn_by(*, book: Book, subscription: Subscription, draft: Calculation, end: datetime) -> bool:
    """Date at a month's end what the cycle, priced up to it, burned by then; return whether lots
    gave more than all of the cycle owed before. The book must be locked.
    """
    cycle = usage_burn.stand_in(subscription)
    rows = cycle_burns.by_lot(settlement=cycle)
    after = _burned_after(book, subscription, rows, end)
    dates = _Entries(book, subscription, draft, end)
    target = cycle_burns.targets(draft)
    lots = cycle_burns.read_lots({*rows, *target})
    if not after:
        changed, _ = cycle_burns.adjust(
            dates.at_end,
            settlement=cycle,
            draft=draft,
            rows=rows,
            lots=lots,
            may_lower=usage_burn.lived_until(end),
        )
        dates.write()
        cycle_burns.write_rows(changed)
        return False
    grew = False
    for lot_id in {**target, **rows}:
        lot, row = lots[lot_id], rows.get(lot_id) or cycle_burns.new_row(cycle, lots[lot_id])
        rows[lot_id], new = row, target.get(lot_id, Burn())
        later = after.get(lot_id, ZERO)
        change = new.quantity - (row.quantity - later)
        if change > 0:
            grew |= change > later
            dates.burn_earlier(row, lot, new, moved=min(change, max(later, ZERO)), change=change)
        elif change < 0 and new.quantity >= row.kept and usage_burn.lived_until(end)(lot):
            dates.burn_later(row, lot, -change)
    dates.write()
    cycle_burns.write_rows(list(rows.values()))
    return grew


def _burned_after(
    book: Book, subscription: Subscription, rows: Mapping[UUID, CycleBurn], end: datetime
) -> dict[UUID, Decimal]:
    """Return what the cycle burned of its lots in entries dated after a month's end."""
    if not rows:
        return {}
    cycle = {"subscription": str(subscription.pk), "cycle": str(subscription.cycle)}
    moved = Movement.objects.filter(
        book=book,
        lot__in=list(rows),
        entry__event=LedgerEvent.USAGE_BURNED,
        entry__accounting_date__gt=month_ends.last_day(end),
        entry__document__contains=cycle,
    )
    is_burn = Q(kind=MovementKind.BURN)
    sums = moved.order_by().values("lot").annotate(
        burned=Sum("quantity", filter=is_burn, default=ZERO),
        returned=Sum("quantity", filter=Q(kind=MovementKind.REVERSE), default=ZERO),
    )  # fmt: skip
    return {each["lot"]: each["burned"] - each["returned"] for each in sums}


class _Entries:
    """The entries of a change of dates: returned on the 1st, burned or returned at the end, burned
    again on the 1st.
    """

    def __init__(
        self, book: Book, subscription: Subscription, draft: Calculation, end: datetime
    ) -> None:
        self.journal = CreditJournal()
        document = {
            "subscription": str(subscription.pk),
            "cycle": str(subscription.cycle),
            "month": f"{month_ends.last_day(end):%Y-%m}",
            **presentation.facts(draft, product=subscription.version.plan.code),
        }

        def entry(*, at_period_end: bool) -> EntryBuilder:
            return self.journal.entry(
                book=book,
                event=LedgerEvent.USAGE_BURNED,
                occurred_at=end,
                document=document,
                at_period_end=at_period_end,
            )

        self.returned = entry(at_period_end=False)
        self.at_end = entry(at_period_end=True)
        self.again = entry(at_period_end=False)

    def burn_earlier(
        self, row: CycleBurn, lot: CreditLot, new: Burn, *, moved: Decimal, change: Decimal
    ) -> None:
        """Burn `change` more of a lot at the end, of which `moved` was burned later."""
        tax = ZERO
        if moved > 0:
            tax = money.proportion(row.tax, moved, row.quantity)
            row.carrying -= self.returned.reverse(lot, moved, tax=tax)
        fresh = change - moved
        more = money.proportion(new.tax, fresh, new.quantity)
        row.carrying += self.at_end.burn(lot, change, tax=tax + more)
        row.quantity, row.tax = row.quantity + fresh, row.tax + more

    def burn_later(self, row: CycleBurn, lot: CreditLot, quantity: Decimal) -> None:
        """Move what was burned of a lot by the end to the 1st."""
        tax = money.proportion(row.tax, quantity, row.quantity)
        row.carrying -= self.at_end.reverse(lot, quantity, tax=tax)
        row.carrying += self.again.burn(lot, quantity, tax=tax)

    def write(self) -> None:
        """Write the entries that move something."""
        drafts = self.journal.drafts
        self.journal.drafts = [draft for draft in drafts if draft.movements or draft.lines]
        self.journal.write()
