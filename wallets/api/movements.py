"""`/v1/wallets/{customer_id}/movements`: every change of credits."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import F, QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import ApiScope
from aforo.api.fields import (
    ActorAnswer,
    AttributeGroupField,
    AttributesQueryField,
    DecimalField,
    StrictSerializer,
    TimeField,
)
from aforo.api.pagination import NewestFirst
from aforo.api.rows import RowsView
from aforo.api.views import ApiView
from aforo.errors import FieldError, Invalid
from aforo.protocol import attributes
from aforo.protocol.filters import AttributesFilter
from aforo.sandbox.services import now_for
from ledger.entries import books
from wallets import statements
from wallets.api.shapes import AttributesField
from wallets.models import Movement

DEFAULT_SPAN = timedelta(days=30)


class MovementAnswer(serializers.ModelSerializer[Movement]):
    entry = serializers.UUIDField(source="entry_id")
    event = serializers.CharField(source="entry.event")
    occurred_at = serializers.DateTimeField(source="entry.occurred_at")
    actor = ActorAnswer(source="entry.document.actor")
    reason = serializers.CharField(source="entry.reason", allow_null=True)
    attributes = AttributesField(source="entry.attributes", allow_null=True)
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
    carrying_currency = serializers.CharField(
        source="lot.currency", help_text="What was paid, and is carried, is in it."
    )
    balance_after = DecimalField()
    held_after = DecimalField()
    wallet_balance_after = DecimalField(
        help_text="The balance of the whole wallet after the movement, held parts included."
    )

    class Meta:
        model = Movement
        fields = [
            "id", "kind", "credit", "currency", "metric", "quantity", "carrying",
            "carrying_currency", "balance_after", "held_after", "wallet_balance_after", "lot",
            "entry", "event", "occurred_at", "actor", "reason", "attributes",
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
    attributes = AttributesFilter(
        field_name="entry__attributes", label='As JSON: {"team": "search"}.'
    )

    class Meta:
        model = Movement
        fields = ["kind", "lot", "entry", "attributes"]


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


class SpendingQuery(StrictSerializer):
    """Half open: from is included, to is not; the last 30 days without them."""

    vars()["from"] = TimeField(required=False)
    to = TimeField(required=False)
    group_by = AttributeGroupField(max_length=64, required=False)
    attributes = AttributesQueryField(max_length=attributes.LONGEST_TEXT, required=False)


class SpentAnswer(serializers.Serializer[Any]):
    value = serializers.CharField(
        required=False, allow_null=True, help_text="Of the attribute that is grouped by."
    )
    currency = serializers.CharField(required=False)
    metric = serializers.CharField(required=False)
    spent = DecimalField(help_text="Burned, less what came back.")


class SpendingAnswer(serializers.Serializer[Any]):
    data = SpentAnswer(many=True)  # type: ignore[assignment]


class SpendingView(ApiView):
    scope = ApiScope.WALLETS
    names = {"get": "aggregateSpending"}
    refusals = ("unknown_customer",)
    query = SpendingQuery

    @extend_schema(parameters=[SpendingQuery], responses=SpendingAnswer)
    def get(self, request: Request, customer_id: str) -> Response:
        """Return what a customer spent of its credits, by the values of an attribute."""
        given = self.asked(request)
        book = books.get_book(livemode=self.livemode, key=customer_id)
        # What happened at the very instant that is now is included.
        ends_at = given.get("to") or now_for(book) + timedelta(microseconds=1)
        starts_at = given.get("from") or ends_at - DEFAULT_SPAN
        if starts_at >= ends_at:
            raise Invalid([FieldError("/to", "not_after_from", "It has to lie after from.")])
        spent = statements.spending(
            book=book,
            starts_at=starts_at,
            ends_at=ends_at,
            by=given.get("group_by"),
            attributes=given.get("attributes"),
        )
        return Response({"data": spent})
