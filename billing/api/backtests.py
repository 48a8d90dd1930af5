"""`/v1/rate-plans/{code}/backtest` and `/v1/backtests`."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import ApiScope
from aforo.api.fields import StrictSerializer, TimeField
from aforo.api.pagination import NewestFirst
from aforo.api.views import ApiView
from billing.jobs import tasks
from billing.models import Backtest, BacktestCycle
from billing.simulation import backtest
from pricing.api.catalog import VersionField
from pricing.plans import plans

MOST_NAMED = 1_000

Fields = dict[str, serializers.Field[Any, Any, Any, Any]]


class BacktestBody(StrictSerializer):
    version = VersionField(required=False)
    offering = serializers.CharField(max_length=64, required=False)
    customers = serializers.ListField(
        child=serializers.CharField(max_length=64), max_length=MOST_NAMED, required=False
    )
    to = TimeField()
    with_credits = serializers.BooleanField(required=False)

    def get_fields(self) -> Fields:
        """Add the member `from`, which is a reserved word in Python."""
        return {**super().get_fields(), "from": TimeField()}


class BacktestAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    rate_plan = serializers.DictField()
    currency = serializers.CharField()
    offering = serializers.CharField(allow_null=True)
    customers = serializers.ListField(child=serializers.CharField())
    to = serializers.DateTimeField()
    with_credits = serializers.BooleanField()
    status = serializers.CharField()
    due = serializers.IntegerField()
    done = serializers.IntegerField()
    summary = serializers.DictField(allow_null=True)
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)

    def get_fields(self) -> Fields:
        """Add the member `from`, which is a reserved word in Python."""
        return {**super().get_fields(), "from": serializers.DateTimeField()}

    def to_representation(self, instance: Backtest) -> dict[str, Any]:
        """Return a backtest as the command prints it."""
        return backtest.describe(instance)


class BacktestEnvelope(serializers.Serializer[Any]):
    backtest = BacktestAnswer()


class PlanBacktestView(ApiView):
    scope = ApiScope.BILLING
    names = {"post": "startBacktest"}
    refusals = ("unknown_rate_plan", "not_published")
    operation = "billing.rate_plans.backtest"

    @extend_schema(request=BacktestBody, responses={202: BacktestEnvelope})
    def post(self, request: Request, code: str) -> HttpResponse:
        """Price a version, draft or published, against settled cycles; the answer is a job."""
        body = self.read(BacktestBody, request)

        def make() -> dict[str, object]:
            version = plans.get_version(
                livemode=self.livemode, code=code, number=body.get("version")
            )
            started = backtest.start(
                version=version,
                starts_at=body["from"],
                ends_at=body["to"],
                offering=body.get("offering"),
                customers=body.get("customers", ()),
                with_credits=body.get("with_credits", False),
            )
            tasks.enqueue(started.pk, task=tasks.execute_backtest)
            return {"backtest": backtest.describe(started)}

        return self.once(request, content={**body, "code": code}, make=make, status=202)


class BacktestsView(ApiView, generics.ListAPIView[Backtest]):
    scope = ApiScope.BILLING
    names = {"get": "listBacktests"}
    serializer_class = BacktestAnswer
    filterset_fields = ["status"]

    def get_queryset(self) -> QuerySet[Backtest]:
        """Return the backtests of the key's mode."""
        mine = Backtest.objects.filter(livemode=self.livemode)
        return mine.select_related("version__plan", "offering")


class BacktestView(ApiView):
    scope = ApiScope.BILLING
    names = {"get": "getBacktest"}
    refusals = ("unknown_backtest",)

    @extend_schema(responses=BacktestAnswer)
    def get(self, request: Request, backtest_id: UUID) -> Response:
        """Return the progress of a backtest, and once it is done its result."""
        found = backtest.get_backtest(livemode=self.livemode, backtest_id=backtest_id)
        return Response(backtest.describe(found))


class ByCustomer(NewestFirst):
    ordering = "pk"


class CycleAnswer(serializers.Serializer[Any]):
    customer_id = serializers.CharField()
    settlement = serializers.UUIDField()
    subscription = serializers.UUIDField()
    period = serializers.DictField()
    paid = serializers.CharField()
    priced = serializers.CharField(allow_null=True)
    delta = serializers.CharField(allow_null=True)
    figures = serializers.DictField()
    error = serializers.CharField(allow_null=True)

    def to_representation(self, instance: BacktestCycle) -> dict[str, Any]:
        """Return one row."""
        return backtest.describe_cycle(instance)


class BacktestCyclesView(ApiView, generics.ListAPIView[BacktestCycle]):
    """The settled cycles with both sides, by customer and time."""

    scope = ApiScope.BILLING
    names = {"get": "listBacktestCycles"}
    refusals = ("unknown_backtest",)
    serializer_class = CycleAnswer
    pagination_class = ByCustomer

    def get_queryset(self) -> QuerySet[BacktestCycle]:
        """Return the rows of a backtest of the key's mode."""
        if getattr(self, "swagger_fake_view", False):
            return BacktestCycle.objects.none()
        found = backtest.get_backtest(
            livemode=self.livemode, backtest_id=self.kwargs["backtest_id"]
        )
        return backtest.cycles(found)
