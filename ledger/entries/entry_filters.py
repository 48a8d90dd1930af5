"""Find the entries and postings behind a figure: the filters of `GET /v1/ledger/entries`, which the
reports name for every figure and the admin's list of postings understands too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db.models import Exists, OuterRef, Q, QuerySet
from django_filters import rest_framework as filters

from aforo.actors import ACTOR_KINDS
from aforo.protocol.filters import AttributesFilter, DayFilter, TimeFilter
from ledger.models import Account, Entry, LedgerEvent, Posting

# Of these, what is asked is asked of one posting.
OF_POSTINGS = ("account", "counter", "debit", "credit", "currency", "lot")


class _EventsFilter(filters.BaseInFilter, filters.ChoiceFilter):
    """One event, or several with commas between."""


class EntryFilter(filters.FilterSet):
    """`from` and `to` bound `occurred_at`, half open; `accounting_from` and `accounting_to` the
    accounting date, half open too.

    `account` names accounts that a posting debits or credits, `counter` the beginnings of the codes
    on its other side; commas stand between several.
    """

    customer_id = filters.CharFilter(field_name="book__key")
    event = _EventsFilter(field_name="event", choices=LedgerEvent.choices)
    entry = filters.UUIDFilter(field_name="id")
    actor_kind = filters.ChoiceFilter(choices=ACTOR_KINDS)
    actor_id = filters.CharFilter()
    invoice = filters.CharFilter(field_name="document__invoice")
    jurisdiction = filters.CharFilter(field_name="document__jurisdiction")
    tax_code = filters.CharFilter(method="_taxed", label="A tax's name, or none.")
    attributes = AttributesFilter(label='As JSON: {"team": "search"}.')
    accounting_date = DayFilter()
    accounting_from = DayFilter(field_name="accounting_date", lookup_expr="gte")
    accounting_to = DayFilter(field_name="accounting_date", lookup_expr="lt")
    recorded_until = TimeFilter(field_name="recorded_at", lookup_expr="lte")
    account = filters.CharFilter(method="_of_postings")
    counter = filters.CharFilter(method="_of_postings")
    debit = filters.CharFilter(method="_of_postings")
    credit = filters.CharFilter(method="_of_postings")
    currency = filters.CharFilter(method="_of_postings")
    lot = filters.UUIDFilter(method="_of_postings")

    class Meta:
        model = Entry
        fields: ClassVar[list[str]] = []

    # `from` is a word of the language, so it cannot be assigned like the others.
    vars()["from"] = TimeFilter(field_name="occurred_at", lookup_expr="gte")
    to = TimeFilter(field_name="occurred_at", lookup_expr="lt")

    def _of_postings(self, entries: QuerySet[Entry], name: str, value: object) -> QuerySet[Entry]:
        """Return the entries unchanged: these filters apply to one posting, all together."""
        return entries

    def _taxed(self, entries: QuerySet[Entry], name: str, value: str) -> QuerySet[Entry]:
        if value == "none":
            return entries.exclude(document__has_key="tax_code")
        is_among = Q(document__taxes__contains=[{"tax_code": value}])
        return entries.filter(Q(document__tax_code=value) | is_among)

    def filter_queryset(self, queryset: QuerySet[Entry]) -> QuerySet[Entry]:
        """Narrow the entries, then to those of which one posting meets all its filters."""
        entries: QuerySet[Entry] = super().filter_queryset(queryset)
        asked = self.form.cleaned_data
        if not any(asked.get(name) for name in OF_POSTINGS):
            return entries
        postings = Posting.objects.filter(posting_condition(asked), entry=OuterRef("pk"))
        return entries.filter(Exists(postings))


def posting_condition(asked: Mapping[str, Any]) -> Q:
    """Return the condition on a posting."""
    condition = _sides(_listed(asked.get("account")), _listed(asked.get("counter")))
    for name in ("debit", "credit"):
        if asked.get(name):
            condition &= Q(**{f"{name}__in": _listed(asked[name])})
    if asked.get("currency"):
        condition &= Q(currency=str(asked["currency"]).upper())
    if asked.get("lot"):
        condition &= Q(lot=asked["lot"])
    return condition


def _listed(text: str | None) -> list[str]:
    return [part for part in (text or "").split(",") if part]


def _sides(accounts: list[str], counters: list[str]) -> Q:
    """Return the condition that an account is on one side, and the counter on the other."""
    if not accounts and not counters:
        return Q()
    found = Q()
    for own, other in (("debit", "credit"), ("credit", "debit")):
        side = Q(**{f"{own}__in": accounts}) if accounts else Q()
        begins = Q()
        for counter in counters:
            named = Account.objects.filter(code__startswith=counter).values("code")
            begins |= Q(**{f"{other}__in": named})
        found |= side & begins
    return found


def postings_behind(*, livemode: bool, asked: Mapping[str, str]) -> QuerySet[Posting]:
    """Return the postings that a figure is the sum of; none if the query makes no sense."""
    entries = EntryFilter(dict(asked), queryset=Entry.objects.filter(book__livemode=livemode))
    if not entries.form.is_valid():
        return Posting.objects.none()
    return Posting.objects.filter(
        posting_condition(entries.form.cleaned_data), entry__in=entries.qs.order_by()
    )
