"""Where metering clients send usage: under `/v1`, and under `/api/v1` for the older ones."""

from django.urls import path

from billing.api import checks
from billing.api.usage import ingest

urlpatterns = [
    path("ingest", ingest.IngestView.as_view()),
    path("ingest/batch", ingest.IngestBatchView.as_view()),
    path("ingest/events", ingest.IngestEventsView.as_view()),
    path("quota/check", checks.QuotaCheckView.as_view()),
]
