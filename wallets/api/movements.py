"""`/v1/wallets/{customer_id}/movements`: every change of credits."""

from __future__ import annotations

from django.db.models import F, QuerySet
from django_filters import rest_framework as filters
from rest_framework import serializers

from aforo.access.models import ApiScope
from aforo.api.fields import ActorAnswer, DecimalField
from aforo.api.pagination import NewestFirst
from aforo.api.rows import RowsView
from ledger.entries import books
from wallets.models import Movement


class MovementAnswer(serializers.ModelSerializer[Movement]):
    entry = serializers.UUIDField(source="entry_id")
    event = serializers.CharField(source="entry.event")
    occurred_at = serializers.DateTimeField(source="entry.occurred_at")
    actor = ActorAnswer(source="entry.document.actor")
    reason = serializers.CharField(source="entry.reason", allow_null=True)
    lot = serializers.UUIDField(source="lot_id")
    credit = serializers.CharField(source="lot.kind")
    currency = serializers.CharField(
        source="lot.wallet.currency",
        read_only=True,
        allow_null=True,
        help_text="Return the currency of a money credit.",
    )
    metric = serializers.CharField(
        source="lot.unit_wallet.metric.code",
        read_only=True,
        allow_null=True,
        help_text="Return the metric of a unit credit.",
    )
    quantity = DecimalField()
    carrying = DecimalField()
    balance_after = DecimalField()
    held_after = DecimalField()
    wallet_balance_after = DecimalField(
        help_text="The balance of the whole wallet after the movement, held parts included."
    )

    class Meta:
        model = Movement
        fields = [
            "id", "kind", "credit", "currency", "metric", "quantity", "carrying", "balance_after",
            "held_after", "wallet_balance_after", "lot", "entry", "event", "occurred_at", "actor",
            "reason",
        ]  # fmt: skip


class NewestInBook(NewestFirst):
    """Newest first by the sequence of the book, then by the position within the entry."""

    ordering = ("-sequence", "-position")
    # Positions count on from the entry, so that they are unique: no entry has more than fit.
    offset_cutoff = 32_767


class MovementFilter(filters.FilterSet):
    # By id alone: a choice among rows would reveal those of other customers and modes.
    lot = filters.UUIDFilter(field_name="lot_id")
    entry = filters.UUIDFilter(field_name="entry_id")

    class Meta:
        model = Movement
        fields = ["kind", "lot", "entry"]


class MovementsView(RowsView[Movement]):
    """Every change of a customer's credits, newest first, with what each left in its lot."""

    scope = ApiScope.WALLETS
    names = {"get": "listMovements"}
    refusals = ("unknown_customer",)
    serializer_class = MovementAnswer
    pagination_class = NewestInBook
    filterset_class = MovementFilter
    columns = {"actor": {"kind": "entry__actor_kind", "id": "entry__actor_id"}}

    def get_queryset(self) -> QuerySet[Movement]:
        """Return the movements of one customer."""
        if getattr(self, "swagger_fake_view", False):
            return Movement.objects.none()
        book = books.get_book(livemode=self.livemode, key=self.kwargs["customer_id"])
        return Movement.objects.filter(entry__book=book).annotate(sequence=F("entry__sequence"))
