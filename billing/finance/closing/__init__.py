"""Closing of a month: finish what belongs to it, tie the books out, then lock it with its pack.

In this order: the sweep; each open cycle brought up to the month's end (credits burned, what they
do not cover accrued); expected breakage; a seal; the tie-outs; the lock. Every step is safe to
repeat, so a close that was refused or killed is simply started again.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from datetime import date, datetime

from django.db.models import Q

from aforo import money
from aforo.database.snapshot import snapshot
from aforo.errors import Conflict
from billing.cycle_end.cycle_settlement import Clock
from billing.finance import reports
from billing.finance.closing import tie_outs
from billing.finance.closing.tie_outs import TieOut
from billing.jobs import due_work
from billing.models import Settlement, SettlementStatus, Subscription, SubscriptionStatus
from billing.month_ends import month_end
from ledger.models import ClosePack, Entry
from ledger.periods import month_ends, periods
from ledger.reports import writing
from ledger.seals import seals
from wallets.lots import expected_breakage

PACK = (
    "trial-balance", "contract-liability", "revenue", "breakage", "receivables-ageing", "unbilled",
    "tax", "journal-summary", "manual-adjustments", "late-items",
)  # fmt: skip


# The steps of the sweep that may post into the month that is closed.
OF_THE_MONTH = {"settlement", "month ends", "holds and lapses", "prepaid burns", "fees"}


class NotReady(Conflict):
    """The month cannot be closed: cycles are unsettled, due work failed, or the books do not tie.

    Mend what the message names, then close again.
    """

    default_code = "period_not_ready"


def close_period(*, month: date, by: str, now: datetime, clock: Clock) -> ClosePack:
    """Close a month of the live books; return the close pack.

    Raises: NotReady with what is unsettled or does not tie; PeriodNotOver, PeriodClosed,
    OutOfOrder; AlreadyRunning while a settlement run lives; Busy while somebody posts.
    """
    periods.begin_close(month=month, now=now)
    until = month_ends.end_of(month)
    last_day = month_ends.last_day(until)
    refuse_passed_over(due_work.sweep(now=now, clock=clock))
    for book_id in month_end.open_books(livemode=True):
        month_end.reach(book_id=book_id, end=until)
    expected_breakage.accrue_breakage(livemode=True, until=last_day, at=until)
    seals.seal(livemode=True, now=now)
    refuse_unsettled(until=until)
    with snapshot():
        check_ties(tie_outs.of_month(until=last_day))
    return periods.close(
        month=month,
        by=by,
        now=now,
        check=lambda: check_ties(tie_outs.of_month(until=last_day)),
        files=lambda: _files(month=month, last_day=last_day, by=by, now=now),
    )


def refuse_passed_over(swept: due_work.Swept) -> None:
    """Check that no due work of the month failed for a live customer.

    Raises: NotReady.
    """
    failed = [
        failure.line
        for failure in swept.failures
        if failure.livemode is not False and failure.step in OF_THE_MONTH
    ]
    if failed:
        raise NotReady(
            f"What is due failed for {len(failed)} customers: {'; '.join(failed[:10])}.",
            extra={"failed": failed[:100]},
        )


def refuse_unsettled(*, until: datetime) -> None:
    """Check that every cycle that ended in the month is settled.

    Raises: NotReady.
    """
    waiting = Subscription.objects.filter(
        customer__book__livemode=True, current_ends_at__lte=until
    ).exclude(status=SubscriptionStatus.CANCELLED)
    sealed = Settlement.objects.filter(
        Q(status=SettlementStatus.SEALED), book__livemode=True, ends_at__lte=until
    )
    keys = {
        *waiting.values_list("customer__book__key", flat=True),
        *sealed.values_list("book__key", flat=True),
    }
    if keys:
        raise NotReady(
            f"Cycles that ended in the month are unsettled for {len(keys)} customers: "
            f"{', '.join(sorted(keys)[:10])}.",
            extra={"unsettled": sorted(keys)[:100]},
        )


def check_ties(found: Sequence[TieOut]) -> None:
    """Check that the books tie; a difference is never plugged.

    Raises: NotReady.
    """
    shown = "; ".join(str(tie) for tie in found if not tie.holds)
    if shown:
        raise NotReady(f"The books do not tie. {shown}.", extra={"differs": shown})


def _files(*, month: date, last_day: date, by: str, now: datetime) -> dict[str, str]:
    """Return the files of the pack: the reports of the month, the tie-outs, and who closed it
    when.
    """
    scope = reports.scope_of(livemode=True, now=now, period=f"{month:%Y-%m}")
    files = {}
    for name in PACK:
        written = io.BytesIO()
        writing.write_csv(reports.find(name).make(scope), written, run_at=now)
        files[f"{name}.csv"] = written.getvalue().decode()
    files["tie-outs.csv"] = _tie_outs(last_day)
    checklist = {
        "period": f"{month:%Y-%m}",
        "closed_by": by,
        "closed_at": now.isoformat(),
        "entries": Entry.objects.filter(
            book__livemode=True, accounting_date__range=(month, last_day)
        ).count(),
        "steps": ["swept", "cycles brought up", "breakage accrued", "sealed", "tied out"],
        "files": {name: periods.sha256(content) for name, content in sorted(files.items())},
    }
    files["checklist.json"] = json.dumps(checklist, indent=2)
    return files


def _tie_outs(last_day: date) -> str:
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow(["tie-out", "currency", "books", "other", "difference"])
    for tie in tie_outs.of_month(until=last_day):
        sums = (money.plain(value) for value in (tie.books, tie.other, tie.difference))
        table.writerow([tie.name, tie.currency, *sums])
    return written.getvalue()
