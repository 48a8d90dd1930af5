"""Closing of a month: finish what belongs to it, tie the books out, then lock it with its pack.

In this order: the sweep; each open cycle brought up to the month's end (credits burned, what they
do not cover accrued); expected breakage; the allowance for losses; a seal; the tie-outs; the lock.
Every step is safe to repeat, so a close that was refused or killed is simply started again; those
that were completed are rows, and the pack's checklist.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from datetime import date, datetime

from django.contrib.auth import get_user_model
from django.db.models import Q

from aforo import money
from aforo.database.snapshot import snapshot
from aforo.errors import Conflict
from billing.cycle_end.cycle_settlement import Clock
from billing.finance import allowance, reports
from billing.finance.closing import in_force, tie_outs
from billing.finance.closing.tie_outs import TieOut
from billing.jobs import due_work
from billing.models import Settlement, SettlementStatus, Subscription, SubscriptionStatus
from billing.month_ends import month_end
from ledger import account_mapping
from ledger.models import ClosePack, Entry, ManualAdjustment
from ledger.periods import month_ends, periods
from ledger.reports import writing
from ledger.seals import seals
from wallets.lots import expected_breakage

PACK = (
    "trial-balance", "contract-liability", "revenue", "breakage", "wallet-ageing",
    "receivables-ageing", "receivables", "unbilled", "tax", "journal-summary", "journal-detail",
    "manual-adjustments", "late-items", "reconciliation",
)  # fmt: skip


# What is done to close a month, in order; `prepare` does all but the last two.
STEPS = (
    "swept", "month's end reached", "breakage accrued", "allowance adjusted",
    "corrections decided", "cycles settled", "sealed", "tied out", "reports made",
)  # fmt: skip
Done = Callable[..., None]

# The steps of the sweep that may post into the month that is closed.
OF_THE_MONTH = {"settlement", "month ends", "holds and lapses", "prepaid burns", "fees"}


class NotStaff(Conflict):
    """Who is to close the month is no active member of staff.

    Name the one who answers for the close by the user name of the back office.
    """

    default_code = "not_staff"


class NotReady(Conflict):
    """The month cannot be closed: cycles are unsettled, due work failed, or the books do not tie.

    Mend what the message names, then close again.
    """

    default_code = "period_not_ready"


def close_period(*, month: date, by: str, now: datetime, clock: Clock) -> ClosePack:
    """Close a month of the live books; return the close pack.

    Each step that was completed is a row. Raises: NotStaff; NotReady with what is undecided,
    unsettled or does not tie; PeriodNotOver, PeriodClosed,
    OutOfOrder; AlreadyRunning while a settlement run lives; Busy while somebody posts.
    """
    prepare(month=month, by=by, now=now, clock=clock)
    last_day = month_ends.last_day(month_ends.end_of(month))
    done = _recorder(month, by, clock)
    with snapshot():
        check_ties(tie_outs.of_month(until=last_day))
    return periods.close(
        month=month,
        by=by,
        now=now,
        check=lambda: check_ties(tie_outs.of_month(until=last_day)),
        files=lambda: _files(month=month, last_day=last_day, by=by, now=now, done=done),
    )


def prepare(*, month: date, by: str, now: datetime, clock: Clock) -> None:
    """Do the steps of closing a month up to its tie-outs; it stays open.

    Raises: NotStaff; NotReady with what is undecided or unsettled; PeriodNotOver, PeriodClosed,
    OutOfOrder; AlreadyRunning while a settlement run lives; Busy while somebody posts.
    """
    check_staff(by)
    periods.begin_close(month=month, now=now)
    until = month_ends.end_of(month)
    last_day = month_ends.last_day(until)
    done = _recorder(month, by, clock)
    swept = due_work.sweep(now=now, clock=clock)
    refuse_passed_over(swept)
    done("swept", f"Settled {swept.settled}, none passed over.")
    open_books = month_end.open_books(livemode=True)
    for book_id in open_books:
        month_end.reach(book_id=book_id, end=until)
    done("month's end reached", f"Of {len(open_books)} customers with open cycles.")
    entries = expected_breakage.accrue_breakage(livemode=True, until=last_day, at=until)
    done("breakage accrued", f"In {entries} entries.")
    entries = allowance.adjust(livemode=True, until=last_day, at=until)
    done("allowance adjusted", f"In {entries} entries.")
    refuse_undecided(month=month, until=until)
    done("corrections decided", "None waits for a decision.")
    refuse_unsettled(until=until)
    done("cycles settled", "None that ended in the month waits.")
    seal = seals.seal(livemode=True, now=now)
    done("sealed", f"Seal {seal.number}.", number=seal.number, hash=seal.hash)


def _recorder(month: date, by: str, clock: Clock) -> Done:
    """Return what records that a step of a month was completed."""

    def done(step: str, result: str, **evidence: object) -> None:
        periods.record_step(
            month=month, step=step, by=by, at=clock(), result=result, evidence=evidence
        )

    return done


def check_staff(name: str) -> None:
    """Check that who closes is an active member of staff.

    Raises: NotStaff.
    """
    if not get_user_model().objects.filter(username=name, is_staff=True, is_active=True).exists():
        raise NotStaff(f"There is no member of staff {name}.")


def refuse_undecided(*, month: date, until: datetime) -> None:
    """Check that no correction by hand of the month waits for its decision.

    Raises: NotReady.
    """
    waiting = ManualAdjustment.objects.filter(
        livemode=True,
        approved_at=None,
        rejected_at=None,
        occurred_at__gte=month_ends.midnight(month),
        occurred_at__lt=until,
    ).count()
    if waiting:
        raise NotReady(f"{waiting} corrections of the month wait for a decision.")


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


def _files(*, month: date, last_day: date, by: str, now: datetime, done: Done) -> dict[str, str]:
    """Return the files of the pack: the reports of the month with its whole journal, the tie-outs,
    what was estimated by, and the checklist.
    """
    scope = reports.scope_of(livemode=True, now=now, period=f"{month:%Y-%m}")
    files = {"tie-outs.csv": _tie_outs(last_day)}
    done("tied out", "Nothing differs.", sha256=periods.sha256(files["tie-outs.csv"]))
    for name in PACK:
        written = io.BytesIO()
        writing.write_csv(reports.find(name).make(scope), written, run_at=now)
        files[f"{name}.csv"] = written.getvalue().decode()
    files["policies.json"] = json.dumps(in_force.in_force(on=last_day), indent=2)
    hashes = {name: periods.sha256(content) for name, content in sorted(files.items())}
    done("reports made", f"{len(hashes)} files.", **hashes)
    checklist = {
        "period": f"{month:%Y-%m}",
        "closed_by": by,
        "closed_at": now.isoformat(),
        "entries": Entry.objects.filter(
            book__livemode=True, accounting_date__range=(month, last_day)
        ).count(),
        "mapping_version": account_mapping.read().version,
        "steps": [
            {
                "step": each.step,
                "by": each.by,
                "at": each.done_at.isoformat(),
                "result": each.result,
                "evidence": each.evidence,
            }
            for each in periods.steps_done(month=month)
        ],
        "files": hashes,
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
