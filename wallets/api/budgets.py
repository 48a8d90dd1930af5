"""`/v1/budgets`: limits on what a part of a customer's use may take of its credits."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import ApiScope
from aforo.api.fields import (
    DecimalField,
    StrictSerializer,
    TimeField,
)
from aforo.api.views import ApiView
from aforo.sandbox.services import now_for
from pricing.api.catalog import CodeField
from wallets.api.shapes import AttributesField, CreditsField, CustomerIdField
from wallets.budgets import budgets, figures
from wallets.models import Budget, BudgetWindow


class TermsBody(StrictSerializer):
    name = serializers.CharField(max_length=200, required=False, allow_blank=True)
    limit = DecimalField(required=False)
    hard = serializers.BooleanField(
        required=False, help_text="Off: it counts and alerts, and refuses nothing."
    )
    max_per_call = DecimalField(required=False, allow_null=True)
    alert_at = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=100), required=False, max_length=10
    )
    active = serializers.BooleanField(
        required=False, help_text="Off: it neither counts nor refuses."
    )


class BudgetBody(TermsBody):
    customer_id = CustomerIdField()
    code = CodeField()
    match = AttributesField(help_text="Attributes that a use has to have; * stands for any value.")
    per = serializers.RegexField(
        budgets.NAME, max_length=40, required=False, help_text="Each value has the limit."
    )
    currency = CreditsField(required=False)
    metric = serializers.CharField(max_length=255, required=False)
    limit = DecimalField()
    window = serializers.ChoiceField(choices=BudgetWindow.choices)


class BudgetTerms(serializers.Serializer[Any]):
    code = serializers.CharField()
    name = serializers.CharField()
    match = serializers.DictField(child=serializers.CharField())
    per = serializers.CharField(allow_null=True)
    currency = serializers.CharField(required=False)
    metric = serializers.CharField(required=False)
    limit = serializers.CharField()
    window = serializers.ChoiceField(choices=BudgetWindow.choices)
    hard = serializers.BooleanField()
    max_per_call = serializers.CharField(allow_null=True)
    alert_at = serializers.ListField(child=serializers.IntegerField())
    active = serializers.BooleanField()


class BudgetAnswer(BudgetTerms):
    customer_id = serializers.CharField()
    created_at = serializers.DateTimeField()

    def to_representation(self, instance: Budget) -> dict[str, Any]:
        """Return a budget."""
        shown = {"customer_id": instance.book.key, **budgets.terms_of(instance)}
        return {**shown, "created_at": instance.created_at}


class BudgetFilter(filters.FilterSet):
    customer_id = filters.CharFilter(field_name="book__key")

    class Meta:
        model = Budget
        fields = ["customer_id"]


class BudgetsView(ApiView, generics.ListAPIView[Budget]):
    scope = ApiScope.WALLETS
    names = {"get": "listBudgets", "post": "createBudget"}
    refusals = ("unknown_customer", "budget_exists")
    operation = "wallets.budgets.create"
    serializer_class = BudgetAnswer
    filterset_class = BudgetFilter

    def get_queryset(self) -> QuerySet[Budget]:
        """Return the budgets of the key's mode that have not ended."""
        live = Budget.objects.filter(book__livemode=self.livemode, ended_at=None)
        return live.select_related("book", "metric")

    @extend_schema(request=BudgetBody, responses={201: BudgetAnswer})
    def post(self, request: Request) -> HttpResponse:
        """Limit what a part of a customer's use may take, per window; it counts from now on."""
        body = self.read(BudgetBody, request)
        return self.once(
            request,
            content=body,
            make=lambda: BudgetAnswer(budgets.create_budget(livemode=self.livemode, **body)).data,
        )


class BudgetView(ApiView):
    scope = ApiScope.WALLETS
    names = {"get": "getBudget", "patch": "updateBudget", "delete": "deleteBudget"}
    refusals = ("unknown_budget", "unknown_customer")

    @extend_schema(responses=BudgetAnswer)
    def get(self, request: Request, customer_id: str, code: str) -> Response:
        """Return a budget."""
        found = budgets.get_budget(livemode=self.livemode, customer_id=customer_id, code=code)
        return Response(BudgetAnswer(found).data)

    @extend_schema(request=TermsBody, responses=BudgetAnswer)
    def patch(self, request: Request, customer_id: str, code: str) -> Response:
        """Change what a budget allows; a limit below what is used refuses from now on."""
        changes = self.read(TermsBody, request)
        changed = budgets.change_budget(
            livemode=self.livemode, customer_id=customer_id, code=code, changes=changes
        )
        return Response(BudgetAnswer(changed).data)

    @extend_schema(responses={200: BudgetAnswer})
    def delete(self, request: Request, customer_id: str, code: str) -> Response:
        """End a budget; what reservations hold stays held."""
        ended = budgets.end_budget(livemode=self.livemode, customer_id=customer_id, code=code)
        return Response(BudgetAnswer(ended).data)


class UsageQuery(StrictSerializer):
    at = TimeField(
        required=False, help_text="The windows that this moment lies in; now if left out."
    )


class WindowAnswer(serializers.Serializer[Any]):
    starts_at = serializers.DateTimeField(allow_null=True)
    ends_at = serializers.DateTimeField(allow_null=True)


class BudgetFigures(serializers.Serializer[Any]):
    value = serializers.CharField(required=False)
    window = WindowAnswer()
    limit = serializers.CharField()
    used = serializers.CharField()
    held = serializers.CharField()
    available = serializers.CharField()


class BudgetUsageAnswer(serializers.Serializer[Any]):
    data = BudgetFigures(many=True)  # type: ignore[assignment]


class BudgetUsageView(ApiView):
    scope = ApiScope.WALLETS
    names = {"get": "getBudgetUsage"}
    refusals = ("unknown_budget", "unknown_customer")
    query = UsageQuery

    @extend_schema(parameters=[UsageQuery], responses=BudgetUsageAnswer)
    def get(self, request: Request, customer_id: str, code: str) -> Response:
        """Return what a budget has counted in the window that runs, or ran then, by value."""
        asked = self.asked(request)
        found = budgets.get_budget(livemode=self.livemode, customer_id=customer_id, code=code)
        now = now_for(found.book)
        return Response({"data": figures.figures_at(found, asked.get("at", now), now=now)})
