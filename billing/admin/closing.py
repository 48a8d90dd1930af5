"""Accounting periods in the back office, and their closing, which needs every app."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from aforo.adminui.admins import ReadOnlyAdmin, acting_user
from aforo.adminui.forms import Form, MonthField
from aforo.adminui.pages import action, found, link, page_action, shown_once, table, waiting_text
from aforo.database.snapshot import snapshot
from aforo.errors import DomainError
from aforo.money import plain
from billing.finance import closing, reports
from billing.finance.closing import tie_outs
from billing.finance.closing.tie_outs import TieOut
from billing.finance.pages import close_files
from ledger.admin.proposals import DecisionForm, page_of
from ledger.models import AccountingPeriod, CloseFile, ClosePack, CloseStep, PeriodStatus
from ledger.periods import periods


class CloseForm(Form):
    """The month that is to be closed."""

    month = MonthField(
        help_text="It is swept, brought up to its end, sealed and tied out; it stays open, and says"
        " why, where anything differs. Repeating is safe.",
    )


class ReopenForm(Form):
    """Why a closed month is to be opened again."""

    reason = forms.CharField(widget=forms.Textarea)


@admin.register(AccountingPeriod)
class PeriodAdmin(ReadOnlyAdmin):
    """A month and its close: what is done of it, by whom, with which result; its packs."""

    list_display = ["__str__", "status", "closed_at", "closed_by"]
    list_filter = ["status"]
    ordering = ["-starts_on"]
    fields = ["status", "closed_at", "closed_by", "progress", "checklist", "packs", "reopenings"]
    readonly_fields = ["progress", "checklist", "packs", "reopenings"]
    actions = ["close"]
    actions_list = ["close_a_month"]
    actions_detail = ["tie_out", "do_steps", "close_it", "reopen"]
    when_empty = "No month has been closed. “Close a month”, above, begins with any that is over."

    @admin.display(description="progress")
    def progress(self, period: AccountingPeriod) -> str:
        """Return how many of the steps are done."""
        return f"{len(_steps(period))} of {len(closing.STEPS)} steps"

    @admin.display(description="checklist")
    def checklist(self, period: AccountingPeriod) -> SafeString:
        """Return each step with who did it, when, with which result, on which evidence."""
        done = {each.step: each for each in _steps(period)}
        rows = [
            [step, *(_shown(done[step]) if step in done else ["", "", "waits", ""])]
            for step in closing.STEPS
        ]
        return table(["Step", "By", "When (UTC)", "Result", "Evidence"], rows)

    @admin.display(description="packs")
    def packs(self, period: AccountingPeriod) -> SafeString | str:
        """Return each close with the files that it froze, and all of them as one archive."""
        return shown_once(period, "packs_shown", lambda: _packs(period))

    @admin.display(description="opened again")
    def reopenings(self, period: AccountingPeriod) -> SafeString | str:
        """Return each proposal to open the month again: why, by whom, and who agreed."""
        return shown_once(period, "reopenings_shown", lambda: _reopenings(period))

    @page_action(description="Tie out", url_path="tie-out")
    def tie_out(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Render both figures of each tie-out as of the month's last day; what differs leads, for
        each customer, to its postings.
        """
        period = found(AccountingPeriod.objects.all(), object_id)
        with snapshot():
            ties = tie_outs.of_month(until=period.ends_on - timedelta(days=1))
        rows = [
            [
                tie.name, tie.currency, *map(plain, (tie.books, tie.other, tie.difference)),
                _who(tie, period),
            ]
            for tie in ties
        ]  # fmt: skip
        wrong = sum(not tie.holds for tie in ties)
        context = {
            **self.admin_site.each_context(request),
            "title": f"{period}: {wrong} of {len(ties)} tie-outs differ",
            "opts": self.opts,
            "table": {
                "headers": ["Figure", "Currency", "Books", "Equals", "Difference", "For whom"],
                "rows": rows,
            },
        }
        return render(request, "adminui/sheet.html", context)

    @page_action(description="Do the steps", url_path="steps", permission="act")
    def do_steps(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask; then do every step up to the tie-outs, after which the month is still open."""
        return self._decide(request, object_id, "Do the steps of", self._prepare)

    @page_action(description="Close", url_path="close", permission="act")
    def close_it(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask; then do every step, lock the month and freeze its pack."""
        return self._decide(request, object_id, "Close", self._close)

    @page_action(description="Open again", url_path="reopen", permission="act")
    def reopen(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask why; then propose it, which another person approves."""
        period = found(AccountingPeriod.objects.all(), object_id)
        if not request.user.has_perm("ledger.add_reopening"):
            raise PermissionDenied
        form = ReopenForm(request.POST or None)

        def propose() -> None:
            reason = form.cleaned_data["reason"]
            periods.propose_reopening(
                period=period, reason=reason, by=acting_user(request), now=timezone.now()
            )
            self.message_user(request, waiting_text(f"Open {period} again"), messages.WARNING)

        return self._ask(request, period, "Open again", form, propose)

    def _decide(
        self,
        request: HttpRequest,
        object_id: str,
        label: str,
        do: Callable[[HttpRequest, date], None],
    ) -> HttpResponse:
        period = found(AccountingPeriod.objects.all(), object_id)
        form = DecisionForm(request.POST or None)
        return self._ask(request, period, label, form, lambda: do(request, period.starts_on))

    def _ask(
        self,
        request: HttpRequest,
        period: AccountingPeriod,
        label: str,
        form: Form,
        do: Callable[[], None],
    ) -> HttpResponse:
        """Return a form; sent, call a service, and return to the month, or to the form with what
        the service refuses.
        """
        if request.method == "POST" and form.is_valid():
            try:
                do()
            except DomainError as error:
                form.add_error(None, error.detail)
            else:
                return HttpResponseRedirect(page_of(period))
        context = {
            **self.admin_site.each_context(request),
            "title": f"{label} {period}?",
            "opts": self.opts,
            "form": form if form.is_bound else type(form)(),
            "label": label.partition(" ")[0] if label.endswith(" of") else label,
        }
        return render(request, "adminui/ask.html", context)

    @page_action(description="Close a month", url_path="close", permission="act")
    def close_a_month(self, request: HttpRequest) -> HttpResponse:
        """Render the form with the next month, and close the month that is sent."""
        form = CloseForm(request.POST or None, initial={"month": _next_month()})
        if request.method == "POST" and form.is_valid():
            try:
                month, _ = reports.read_month(form.cleaned_data["month"])
                self._close(request, month)
            except DomainError as error:
                form.add_error(None, error.detail)
            else:
                return HttpResponseRedirect(reverse("admin:ledger_accountingperiod_changelist"))
        context = {
            **self.admin_site.each_context(request),
            "title": "Close a month",
            "opts": self.opts,
            "form": form,
            "label": "Close",
        }
        return render(request, "adminui/ask.html", context)

    @action(description="Close: tie out, lock, freeze the pack")
    def close(self, request: HttpRequest, chosen: QuerySet[AccountingPeriod]) -> None:
        """Close each chosen month, the earliest first."""
        for period in chosen.order_by("starts_on"):
            try:
                self._close(request, period.starts_on)
            except DomainError as error:
                self.message_user(request, f"{period}: {error.detail}", messages.ERROR)

    def _prepare(self, request: HttpRequest, month: date) -> None:
        closing.prepare(
            month=month,
            by=request.user.get_username(),
            now=timezone.now(),
            clock=timezone.now,
        )
        text = f"{month:%Y-%m}: the steps are done; tie it out, then close it."
        self.message_user(request, text, messages.SUCCESS)

    def _close(self, request: HttpRequest, month: date) -> None:
        pack = closing.close_period(
            month=month,
            by=request.user.get_username(),
            now=timezone.now(),
            clock=timezone.now,
        )
        text = f"{month:%Y-%m}: closed, with {pack.files.count()} files in its pack."
        self.message_user(request, text, messages.SUCCESS)


def _steps(period: AccountingPeriod) -> list[CloseStep]:
    """Return the steps of the last pack of a closed month, else of the next one; read once."""
    kept = vars(period)
    if "steps_read" not in kept:
        is_open = period.status != PeriodStatus.CLOSED
        number = period.packs.count() + is_open
        kept["steps_read"] = periods.steps_of(period, number=number)
    found: list[CloseStep] = kept["steps_read"]
    return found


def _shown(step: CloseStep) -> list[str]:
    """Return who did a step, when, with which result and evidence; of many hashes how many."""
    evidence: dict[str, object] = step.evidence
    facts = ", ".join(f"{name} {value}" for name, value in evidence.items())
    if len(evidence) > 2:
        facts = f"{len(evidence)} hashes, in checklist.json"
    return [step.by, f"{step.done_at:%Y-%m-%d %H:%M:%S}", step.result, facts]


def _packs(period: AccountingPeriod) -> SafeString | str:
    packs = period.packs.order_by("-number").prefetch_related(
        Prefetch("files", CloseFile.objects.only("pack", "name").order_by("name"))
    )
    rows = [
        [pack.number, pack.closed_by, f"{pack.closed_at:%Y-%m-%d %H:%M}", _files_of(pack)]
        for pack in packs
    ]
    return table(["Pack", "By", "When (UTC)", "Files"], rows) if rows else "-"


def _reopenings(period: AccountingPeriod) -> SafeString | str:
    asked = period.reopenings.select_related("proposed_by", "approved_by", "period")
    rows = [
        [link(page_of(each), each.evidence), each.proposed_by, each.approved_by or "waits"]
        for each in asked.order_by("pk")
    ]
    return table(["Why", "Proposed by", "Approved by"], rows) if rows else "-"


def _files_of(pack: ClosePack) -> SafeString:
    names = [close_files.ARCHIVE, *(file.name for file in pack.files.all())]
    return format_html_join(
        ", ",
        "{}",
        ((link(reverse("close_file", args=[pack.pk, name]), name),) for name in names),
    )


def _who(tie: TieOut, period: AccountingPeriod) -> SafeString:
    """Return for whom a tie-out differs and by how much, each with a link to the postings."""
    account = tie.name.split()[0]
    until = {"mode": "live", "currency": tie.currency, "accounting_to": period.ends_on.isoformat()}
    named = []
    for each in tie.differing[: tie_outs.NAMED]:
        figure = urlencode({**until, "account": account, "customer_id": each.who})
        url = f"{reverse('admin:ledger_posting_changelist')}?{urlencode({'figure': figure})}"
        named.append((link(url, each),))
    return format_html_join(", ", "{}", named)


def _next_month() -> str:
    """Return the first month on record that is open; before any is, last month."""
    waiting = (
        AccountingPeriod.objects.exclude(status=PeriodStatus.CLOSED).order_by("starts_on").first()
    )
    if waiting is not None:
        return str(waiting)
    first = timezone.now().date().replace(day=1)
    return f"{date.fromordinal(first.toordinal() - 1):%Y-%m}"
