"""`/v1/approvals`: what was asked for above a limit, and what became of it.

It is decided by people, in the back office.
"""

from __future__ import annotations

from uuid import UUID

from django.db.models import Case, QuerySet, Value, When
from django.db.models.functions import Coalesce
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import ApiScope
from aforo.api.fields import ActorAnswer, DecimalField
from aforo.api.rows import RowsView
from aforo.api.views import ApiView
from billing import approvals
from ledger.models import ApprovalRequest


class ApprovalRequestAnswer(serializers.ModelSerializer[ApprovalRequest]):
    """What waits, or was decided: approved, it was done under the key `approval:{id}`."""

    customer_id = serializers.CharField(source="book.key", allow_null=True, default=None)
    amount = DecimalField(allow_null=True)
    status = serializers.ChoiceField(choices=["PENDING", "APPROVED", "REJECTED"])
    actor = ActorAnswer(source="asked_by")
    decided_at = serializers.DateTimeField(allow_null=True)

    class Meta:
        model = ApprovalRequest
        fields = [
            "id", "customer_id", "action", "amount", "currency", "status", "actor", "requested_at",
            "expires_at", "decided_at",
        ]  # fmt: skip


class ApprovalFilter(filters.FilterSet):
    customer_id = filters.CharFilter(field_name="book__key")

    class Meta:
        model = ApprovalRequest
        fields = ["customer_id", "action"]


class ApprovalsView(RowsView[ApprovalRequest]):
    scope = ApiScope.LEDGER
    names = {"get": "listApprovals"}
    serializer_class = ApprovalRequestAnswer
    filterset_class = ApprovalFilter
    columns = {
        "status": Case(
            When(approved_at__isnull=False, then=Value("APPROVED")),
            When(rejected_at__isnull=False, then=Value("REJECTED")),
            default=Value("PENDING"),
        ),
        "actor": {"kind": "actor_kind", "id": "actor_id"},
        "decided_at": Coalesce("approved_at", "rejected_at"),
    }

    def get_queryset(self) -> QuerySet[ApprovalRequest]:
        """Return the requests of the key's mode."""
        return ApprovalRequest.objects.filter(livemode=self.livemode)


class ApprovalView(ApiView):
    scope = ApiScope.LEDGER
    names = {"get": "getApproval"}
    refusals = ("unknown_approval",)

    @extend_schema(responses=ApprovalRequestAnswer)
    def get(self, request: Request, request_id: UUID) -> Response:
        """Return what was asked for above a limit, and what became of it."""
        found = approvals.get_request(livemode=self.livemode, request_id=request_id)
        return Response(ApprovalRequestAnswer(found).data)
