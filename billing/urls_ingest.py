"""Where metering clients send usage: under `/v1`, and under `/api/v1` for the older ones."""

from django.urls import path

from billing.api import usage

urlpatterns = [
    path("ingest", usage.IngestView.as_view()),
    path("ingest/batch", usage.IngestBatchView.as_view()),
    path("ingest/events", usage.IngestEventsView.as_view()),
]
