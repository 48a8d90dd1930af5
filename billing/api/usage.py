"""`/v1/ingest`: metered usage from the clients of either generation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import Scope
from aforo.api.parsers import CloudEventBatchParser, CloudEventParser, EventsJsonParser
from aforo.api.views import ApiView
from aforo.errors import FieldError, Invalid, TooLarge
from billing.services import ingest
from billing.services.events import Reader, read_cloud_event, read_event


class EventBody(serializers.Serializer[Any]):
    """A metered event; any other field is kept."""

    customerId = serializers.CharField(max_length=64)  # noqa: N815
    metricName = serializers.CharField(max_length=255)  # noqa: N815
    quantity = serializers.DecimalField(max_digits=20, decimal_places=6)
    occurredAt = serializers.DateTimeField()  # noqa: N815
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


class OutcomeAnswer(serializers.Serializer[Any]):
    accepted = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    failed = serializers.IntegerField()
    errors = EventError(many=True)  # type: ignore[assignment]


class IngestAnswer(serializers.Serializer[Any]):
    success = serializers.BooleanField()
    data = OutcomeAnswer()  # type: ignore[assignment]


def _events(data: object) -> list[object]:
    """Take the events out of a batch body.

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
    scope = Scope.USAGE
    parser_classes = [EventsJsonParser]
    is_lenient = True

    @extend_schema(request=EventBatchBody, responses={202: IngestAnswer})
    def post(self, request: Request) -> Response:
        """Take 1 to 1,000 events; each is accepted, counted as a duplicate or refused alone."""
        return self.take(_events(request.data))

    def take(self, events: list[object], read: Reader = read_event) -> Response:
        """Ingest and answer."""
        outcome = ingest.ingest(
            livemode=self.livemode, events=events, received_at=timezone.now(), read=read
        )
        return Response(
            {
                "success": True,
                "data": {
                    "accepted": outcome.accepted,
                    "duplicates": outcome.duplicates,
                    "failed": outcome.failed,
                    "errors": outcome.errors,
                },
            },
            status=202,
        )


class IngestView(IngestBatchView):
    @extend_schema(request=EventBody, responses={202: IngestAnswer})
    def post(self, request: Request) -> Response:
        """Take one event."""
        return self.take([request.data])


class IngestEventsView(IngestBatchView):
    @extend_schema(request=EventBatchBody, responses={202: IngestAnswer})
    def post(self, request: Request) -> Response:
        """Take one event, or a batch."""
        is_batch = isinstance(request.data, Mapping) and "events" in request.data
        return self.take(_events(request.data) if is_batch else [request.data])


class CloudEventsView(IngestBatchView):
    parser_classes = [EventsJsonParser, CloudEventParser, CloudEventBatchParser]

    @extend_schema(
        request={
            CloudEventParser.media_type: CloudEventBody,
            CloudEventBatchParser.media_type: CloudEventBody(many=True),
        },
        responses={202: IngestAnswer},
    )
    def post(self, request: Request) -> Response:
        """Take one CloudEvent 1.0, or a batch of at most 1,000, in JSON.

        Without one of the two content types, an array is a batch.
        """
        sent = (request.content_type or "").partition(";")[0].strip().lower()
        is_batch = isinstance(request.data, list)
        if sent == CloudEventParser.media_type and is_batch:
            detail = f"An array of events is {CloudEventBatchParser.media_type}."
            raise Invalid([FieldError("", "invalid", detail)])
        if sent == CloudEventBatchParser.media_type and not is_batch:
            raise Invalid([FieldError("", "invalid", "A batch is an array of events.")])
        events: list[object] = [*request.data] if is_batch else [request.data]
        if len(events) > ingest.MAX_EVENTS:
            raise TooLarge(f"A batch holds at most {ingest.MAX_EVENTS} events.")
        return self.take(events, read_cloud_event)
