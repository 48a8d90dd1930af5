"""`/v1/metrics`."""

from __future__ import annotations

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import ApiScope
from aforo.api.fields import JsonField, StrictSerializer
from aforo.api.views import ApiView
from pricing.api.catalog import CatalogList, CodeField
from pricing.metrics import filters as pricing_filters
from pricing.metrics import metrics
from pricing.models import Aggregation, Metric


@extend_schema_field({"type": ["array", "boolean", "number", "string"], "items": {}})
class FilterValueField(JsonField):
    """A text, number, boolean or list of them; what goes with which operator the service knows."""


class FilterBody(StrictSerializer):
    property = serializers.CharField(max_length=100)
    op = serializers.ChoiceField(choices=pricing_filters.OPERATORS)
    value = FilterValueField(required=False, allow_null=True)


class MetricBody(StrictSerializer):
    code = CodeField(max_length=255)
    name = serializers.CharField(max_length=200)
    aggregation = serializers.ChoiceField(choices=Aggregation.choices)
    property = serializers.CharField(max_length=100, required=False, allow_blank=True)
    filters = serializers.ListField(child=FilterBody(), max_length=1_000, required=False)


class MetricChange(StrictSerializer):
    name = serializers.CharField(max_length=200, required=False)
    aggregation = serializers.ChoiceField(choices=Aggregation.choices, required=False)
    property = serializers.CharField(max_length=100, required=False, allow_blank=True)
    filters = serializers.ListField(child=FilterBody(), max_length=1_000, required=False)


class MetricAnswer(serializers.ModelSerializer[Metric]):
    class Meta:
        model = Metric
        fields = ["code", "name", "aggregation", "property", "filters", "created_at"]


class MetricsView(CatalogList):
    names = {"get": "listMetrics", "post": "createMetric"}
    refusals = ("code_taken",)
    operation = "pricing.metrics.create"
    model = Metric
    serializer_class = MetricAnswer
    filterset_fields = ["aggregation"]

    @extend_schema(request=MetricBody, responses={201: MetricAnswer})
    def post(self, request: Request) -> HttpResponse:
        """Define a metric."""
        body = self.read(MetricBody, request)
        return self.once(
            request,
            content=body,
            make=lambda: MetricAnswer(metrics.create_metric(livemode=self.livemode, **body)).data,
        )


class MetricView(ApiView):
    scope = ApiScope.CATALOG
    names = {"get": "getMetric", "patch": "updateMetric"}
    refusals = ("unknown_metric", "metric_in_use")

    @extend_schema(responses=MetricAnswer)
    def get(self, request: Request, code: str) -> Response:
        """Return a metric."""
        return Response(MetricAnswer(metrics.get_metric(livemode=self.livemode, code=code)).data)

    @extend_schema(request=MetricChange, responses=MetricAnswer)
    def patch(self, request: Request, code: str) -> Response:
        """Change a metric; one that is priced keeps everything but its name."""
        body = self.read(MetricChange, request)
        metric = metrics.update_metric(livemode=self.livemode, code=code, changes=body)
        return Response(MetricAnswer(metric).data)
