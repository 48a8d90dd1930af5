"""`/v1/ledger`: entries and the trial balance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import ApiScope
from aforo.api.fields import ActorAnswer, CurrencyField, DayField, DecimalField, StrictSerializer
from aforo.api.pagination import NewestFirst
from aforo.api.rows import Row, RowsView
from aforo.api.views import ApiView
from ledger import reports
from ledger.entries.entry_filters import EntryFilter
from ledger.models import Entry, Posting


class PostingAnswer(serializers.ModelSerializer[Posting]):
    debit = serializers.CharField(source="debit_id")
    credit = serializers.CharField(source="credit_id")
    amount = DecimalField()

    class Meta:
        model = Posting
        fields = ["debit", "credit", "amount", "currency", "lot"]


class EntryAnswer(serializers.ModelSerializer[Entry]):
    customer_id = serializers.CharField(source="book.key")
    actor = ActorAnswer(source="document.actor")
    reason = serializers.CharField(allow_null=True)
    postings = serializers.SerializerMethodField()

    class Meta:
        model = Entry
        fields = [
            "id", "customer_id", "sequence", "event", "occurred_at", "recorded_at",
            "accounting_date", "actor", "reason", "document", "postings", "hash", "prev_hash",
        ]  # fmt: skip

    def get_postings(self, entry: Entry) -> list[dict[str, Any]]:
        """Return the postings in their order."""
        postings = sorted(entry.postings.all(), key=lambda posting: posting.position)
        return [dict(PostingAnswer(posting).data) for posting in postings]


class NewestRecorded(NewestFirst):
    """Newest first across books; within one, by its sequence, which is the same order."""

    ordering = ("-recorded_at", "-id")

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: Any) -> tuple[str, ...]:
        """Read one customer's entries through the key of their book."""
        return ("-sequence",) if request.query_params.get("customer_id") else self.ordering


class EntriesView(RowsView[Entry]):
    scope = ApiScope.LEDGER
    names = {"get": "listEntries"}
    serializer_class = EntryAnswer
    filterset_class = EntryFilter
    pagination_class = NewestRecorded
    columns = {"actor": {"kind": "actor_kind", "id": "actor_id"}}

    def get_queryset(self) -> QuerySet[Entry]:
        """Return the entries of the key's mode."""
        return Entry.objects.filter(book__livemode=self.livemode)

    def complete(self, rows: Sequence[Row], beside: Sequence[tuple[Any, ...]]) -> None:
        """Add the postings in their order."""
        names = ("debit", "credit", "amount", "currency", "lot")
        found = Posting.objects.filter(entry__in=[row["id"] for row in rows])
        postings = defaultdict[Any, list[Row]](list)
        columns = ("entry_id", "debit_id", "credit_id", "amount", "currency", "lot")
        for entry, *posting in found.order_by("entry", "position").values_list(*columns):
            postings[entry].append(dict(zip(names, posting, strict=True)))
        for row in rows:
            row["postings"] = postings[row["id"]]


class BalanceQuery(StrictSerializer):
    as_of = DayField(required=False)
    currency = CurrencyField(required=False)


class AccountBalanceAnswer(serializers.Serializer[Any]):
    account = serializers.CharField()
    name = serializers.CharField()
    currency = serializers.CharField()
    debit = serializers.CharField()
    credit = serializers.CharField()
    balance = serializers.CharField()


class TrialBalanceView(ApiView):
    scope = ApiScope.LEDGER
    names = {"get": "getTrialBalance"}
    query = BalanceQuery

    @extend_schema(parameters=[BalanceQuery], responses=AccountBalanceAnswer(many=True))
    def get(self, request: Request) -> Response:
        """Sum every account up to and including a day of the entity's calendar."""
        rows = reports.trial_balance(livemode=self.livemode, **self.asked(request))
        return Response(
            [
                {
                    "account": row.account,
                    "name": row.name,
                    "currency": row.currency,
                    "debit": row.debit,
                    "credit": row.credit,
                    "balance": row.balance,
                }
                for row in rows
            ]
        )
