"""`/v1/ingest`: metered usage, for current and older clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from django_filters import rest_framework as filters
from drf_spectacular.utils import (
    PolymorphicProxySerializer,
    extend_schema,
    extend_schema_field,
)
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import ApiScope
from aforo.api.fields import DecimalField
from aforo.api.parsers import CloudEventBatchParser, CloudEventParser, EventsJsonParser
from aforo.api.rows import RowsView
from aforo.api.views import ApiView
from aforo.errors import FieldError, Invalid, TooLarge
from aforo.protocol.filters import TimeFilter
from billing.models import UnbilledReason, UnbilledUsage
from billing.usage import ingest, unbilled
from billing.usage.events import Reader, from_headers, read_cloud_event, read_event


@extend_schema_field({"type": ["string", "number"], "examples": [1, "0.25"]})
class QuantityField(serializers.Field[Any, Any, Any, Any]):
    """Above zero, at most 14 integer and 6 decimal digits."""


@extend_schema_field(
    {
        "anyOf": [
            {"type": "string", "format": "date-time"},
            {"type": "integer", "description": "Milliseconds since 1970."},
        ]
    }
)
class OccurredField(serializers.Field[Any, Any, Any, Any]):
    """A time with its zone, or milliseconds."""


class EventBody(serializers.Serializer[Any]):
    """A metered event; any other field is kept."""

    customerId = serializers.CharField(max_length=64)  # noqa: N815
    metricName = serializers.CharField(max_length=255)  # noqa: N815
    quantity = QuantityField()
    occurredAt = OccurredField()  # noqa: N815
    idempotencyKey = serializers.CharField(max_length=255)  # noqa: N815
    productType = serializers.CharField(required=False)  # noqa: N815
    metadata = serializers.DictField(required=False)
    executionStatus = serializers.CharField(required=False)  # noqa: N815


class EventBatchBody(serializers.Serializer[Any]):
    events = EventBody(many=True)


class EventError(serializers.Serializer[Any]):
    index = serializers.IntegerField()
    message = serializers.CharField()
    error = serializers.CharField()


class CloudEventBody(serializers.Serializer[Any]):
    """A CloudEvent 1.0; its extension attributes are kept."""

    specversion = serializers.ChoiceField(["1.0"])
    id = serializers.CharField(help_text="With source the key: a repeat is a duplicate.")
    source = serializers.CharField(help_text="A URI reference.")  # type: ignore[assignment]
    type = serializers.CharField(max_length=255, help_text="The metric.")
    subject = serializers.CharField(max_length=64, help_text="The customer.")
    time = serializers.DateTimeField(required=False)
    data = serializers.DictField(  # type: ignore[assignment]
        required=False, help_text="Its member quantity is the quantity, 1 without it."
    )


class NeverBilledAnswer(serializers.Serializer[Any]):
    index = serializers.IntegerField()
    reason = serializers.ChoiceField(choices=UnbilledReason.choices)


class OutcomeAnswer(serializers.Serializer[Any]):
    accepted = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    failed = serializers.IntegerField()
    errors = EventError(many=True)  # type: ignore[assignment]
    unbilled = NeverBilledAnswer(many=True, help_text="Accepted and kept, and never billed: why.")


class IngestAnswer(serializers.Serializer[Any]):
    success = serializers.BooleanField()
    data = OutcomeAnswer()  # type: ignore[assignment]


def _events(data: object) -> list[object]:
    """Return the events of a batch body.

    Raises: Invalid, TooLarge.
    """
    events = data.get("events") if isinstance(data, Mapping) else None
    if not isinstance(events, list) or not events:
        detail = f"Send 1 to {ingest.MAX_EVENTS} events."
        raise Invalid([FieldError("/events", "required", detail)])
    if len(events) > ingest.MAX_EVENTS:
        raise TooLarge(f"A batch holds at most {ingest.MAX_EVENTS} events.")
    return events


class IngestBatchView(ApiView):
    scope = ApiScope.USAGE
    names = {"post": "ingestBatch"}
    parser_classes = [EventsJsonParser]
    is_lenient = True

    @extend_schema(request=EventBatchBody, responses={202: IngestAnswer})
    def post(self, request: Request) -> Response:
        """Ingest 1 to 1,000 events; each is accepted, counted as a duplicate or refused alone."""
        return self.take(_events(request.data))

    def store(self, events: list[object], read: Reader = read_event) -> ingest.IngestOutcome:
        """Store the events that are valid and new."""
        return ingest.ingest(
            livemode=self.livemode, events=events, received_at=timezone.now(), read=read
        )

    def take(self, events: list[object], read: Reader = read_event) -> Response:
        """Ingest events and return the response."""
        return self.answer(self.store(events, read))

    def answer(self, outcome: ingest.IngestOutcome) -> Response:
        """Return the response of a batch."""
        return Response(
            {
                "success": True,
                "data": {
                    "accepted": outcome.accepted,
                    "duplicates": outcome.duplicates,
                    "failed": outcome.failed,
                    "errors": outcome.errors,
                    "unbilled": outcome.unbilled,
                },
            },
            status=202,
        )


class IngestView(IngestBatchView):
    names = {"post": "ingestEvent"}

    @extend_schema(request=EventBody, responses={202: IngestAnswer})
    def post(self, request: Request) -> Response:
        """Ingest one event."""
        return self.take([request.data])


_EVENT_OR_BATCH = PolymorphicProxySerializer(
    component_name="EventOrBatch",
    serializers=[EventBody, EventBatchBody],
    resource_type_field_name=None,
)


class IngestEventsView(IngestBatchView):
    names = {"post": "ingestEvents"}

    @extend_schema(request=_EVENT_OR_BATCH, responses={202: IngestAnswer})
    def post(self, request: Request) -> Response:
        """Ingest one event, or a batch."""
        is_batch = isinstance(request.data, Mapping) and "events" in request.data
        return self.take(_events(request.data) if is_batch else [request.data])


class CloudEventsView(IngestBatchView):
    names = {"post": "ingestCloudEvents"}
    parser_classes = [EventsJsonParser, CloudEventParser, CloudEventBatchParser]

    @extend_schema(
        request={
            CloudEventParser.media_type: CloudEventBody,
            CloudEventBatchParser.media_type: CloudEventBody(many=True),
        },
        responses={202: IngestAnswer},
    )
    def post(self, request: Request) -> Response:
        """Ingest one CloudEvent 1.0, or a batch of at most 1,000, in JSON.

        Without one of the two content types, an array is a batch, and with `ce-` headers the body
        is the data of one event. One that is refused is answered 422; in a batch, each fails alone.
        """
        if (event := from_headers(request.headers, request.data)) is not None:
            return self._take_one(event)
        sent = (request.content_type or "").partition(";")[0].strip().lower()
        is_batch = isinstance(request.data, list)
        if sent == CloudEventParser.media_type and is_batch:
            detail = f"An array of events is {CloudEventBatchParser.media_type}."
            raise Invalid([FieldError("", "invalid", detail)])
        if sent == CloudEventBatchParser.media_type and not is_batch:
            raise Invalid([FieldError("", "invalid", "A batch is an array of events.")])
        if not is_batch:
            return self._take_one(request.data)
        if len(request.data) > ingest.MAX_EVENTS:
            raise TooLarge(f"A batch holds at most {ingest.MAX_EVENTS} events.")
        return self.take([*request.data], read_cloud_event)

    def _take_one(self, event: object) -> Response:
        outcome = self.store([event], read_cloud_event)
        for error in outcome.errors:
            message = str(error["message"])
            raise Invalid([FieldError("", str(error["error"]), message)], detail=message)
        return self.answer(outcome)


class UnbilledAnswer(serializers.ModelSerializer[UnbilledUsage]):
    id = serializers.UUIDField(source="event_id")
    customer_id = serializers.CharField(source="book.key")
    metric = serializers.CharField(source="metric.code")
    idempotency_key = serializers.CharField(source="event.key")
    quantity = DecimalField(source="event.quantity")
    occurred_at = serializers.DateTimeField(source="event.occurred_at")
    received_at = serializers.DateTimeField(source="event.received_at")

    class Meta:
        model = UnbilledUsage
        fields = [
            "id", "customer_id", "metric", "idempotency_key", "quantity", "occurred_at",
            "received_at", "reason",
        ]  # fmt: skip


class UnbilledFilter(filters.FilterSet):
    vars()["from"] = TimeFilter(field_name="event__occurred_at", lookup_expr="gte")
    customer_id = filters.CharFilter(field_name="book__key")
    metric = filters.CharFilter(field_name="metric__code")
    to = TimeFilter(field_name="event__occurred_at", lookup_expr="lt")

    class Meta:
        model = UnbilledUsage
        fields = ["customer_id", "metric", "reason"]


class UnbilledView(RowsView[UnbilledUsage]):
    """Usage that was accepted but is never billed, newest first, with the reason."""

    scope = ApiScope.USAGE
    names = {"get": "listUnbilledUsage"}
    serializer_class = UnbilledAnswer
    filterset_class = UnbilledFilter

    def get_queryset(self) -> QuerySet[UnbilledUsage]:
        """Return the unbilled usage of the key's mode."""
        return unbilled.unbilled(livemode=self.livemode)
