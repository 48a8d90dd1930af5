"""`/v1/wallets/reservations`: hold credits, then capture or void."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils import timezone
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request

from aforo.access.models import ApiScope
from aforo.api.fields import DecimalField, StrictSerializer
from aforo.api.views import ApiView
from aforo.protocol.filters import AttributesFilter
from pricing.models import MAX_GRACE, OverCapture
from wallets.api.batches import BatchAnswer, BatchField, answer_each, read_one
from wallets.api.debits import DebitAnswer
from wallets.api.shapes import (
    OF_RESERVATIONS,
    PRICING,
    SPENDING,
    AllocationAnswer,
    AttributesField,
    BalanceAnswer,
    CustomerIdField,
    KeyedBody,
    MeasuredAnswer,
    MoneyOrUnits,
    reply,
)
from wallets.debits import engine
from wallets.debits.combiner import COMBINER, execute_list
from wallets.holds import reservations
from wallets.models import BurnStrategy, Reservation, ReservationStatus


class OverCaptureField(serializers.ChoiceField):
    """What happens to the part of a capture that nothing covers; the offering's, if left out."""

    def __init__(self) -> None:
        super().__init__(
            choices=OverCapture.choices,
            required=False,
            help_text="What a capture does that nothing covers; the offering's, if left out.",
        )


class GraceField(serializers.IntegerField):
    """How long after its end a reservation may be captured; the offering's, if left out."""

    def __init__(self) -> None:
        super().__init__(
            min_value=0,
            max_value=MAX_GRACE,
            required=False,
            help_text="Seconds after its end in which it may be captured; the offering's, if left"
            " out.",
        )


class ReserveBody(MoneyOrUnits):
    customer_id = CustomerIdField()
    strategy = serializers.ChoiceField(choices=BurnStrategy.choices, default=BurnStrategy.WATERFALL)
    attributes = AttributesField(required=False)
    expires_in = serializers.IntegerField(
        min_value=1, max_value=engine.MAX_HOLD, default=engine.DEFAULT_HOLD, help_text="Seconds."
    )
    over_capture = OverCaptureField()
    grace_seconds = GraceField()
    idempotency_key = serializers.CharField(max_length=255, required=False)


class ReservationAnswer(MeasuredAnswer):
    strategy = serializers.CharField()
    attributes = AttributesField(required=False)
    over_capture = serializers.CharField()
    grace_seconds = serializers.IntegerField()
    status = serializers.ChoiceField(choices=ReservationStatus.choices)
    held = serializers.CharField()
    allocations = AllocationAnswer(many=True)
    overage_expected = serializers.CharField()
    balance = BalanceAnswer()
    expires_at = serializers.DateTimeField()
    entry = serializers.UUIDField()
    occurred_at = serializers.DateTimeField()


class ReservationRow(MeasuredAnswer):
    strategy = serializers.CharField()
    attributes = AttributesField(required=False)
    status = serializers.ChoiceField(choices=ReservationStatus.choices)
    held = serializers.CharField(help_text="What it holds now.")
    held_units = serializers.CharField(help_text="What it holds of units now.")
    captured = serializers.CharField()
    over_capture = serializers.CharField()
    grace_seconds = serializers.IntegerField()
    uncovered = serializers.CharField(help_text="What its captures left that nobody pays.")
    debt = serializers.CharField(help_text="What its captures left for the next credits to pay.")
    properties = serializers.DictField(required=False, help_text="Of reserved usage.")
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)

    def to_representation(self, instance: Reservation) -> dict[str, Any]:
        """Return a reservation as it is now: over at its moment, recorded or not."""
        return reservations.describe_reservation(instance)


class ReservationFilter(filters.FilterSet):
    customer_id = filters.CharFilter(field_name="book__key")
    idempotency_key = filters.CharFilter(
        field_name="operation__key", help_text="The key that it was made with."
    )
    status = filters.ChoiceFilter(choices=ReservationStatus.choices, method="in_status")
    attributes = AttributesFilter(label='As JSON: {"team": "search"}.')

    class Meta:
        model = Reservation
        fields = ["customer_id", "idempotency_key", "status", "attributes"]

    def in_status(self, found: QuerySet[Reservation], _: str, status: str) -> QuerySet[Reservation]:
        """Filter by the status of a reservation now, whether or not its end is recorded."""
        return reservations.in_status(found, status=status, now=timezone.now())


class ReservationsView(ApiView, generics.ListAPIView[Reservation]):
    scope = ApiScope.WALLETS
    names = {"get": "listReservations", "post": "reserveCredits"}
    refusals = ("unknown_customer", *SPENDING)
    operation = engine.ReserveRequest.operation
    serializer_class = ReservationRow
    filterset_class = ReservationFilter

    def get_queryset(self) -> QuerySet[Reservation]:
        """Return the reservations of the key's mode."""
        return reservations.reservations(livemode=self.livemode)

    @extend_schema(request=ReserveBody, responses={201: ReservationAnswer})
    def post(self, request: Request) -> HttpResponse:
        """Reserve credits on named lots, in the customer's burn order, until captured or voided."""
        key, body = self.read_keyed(ReserveBody, request)
        ask = engine.ReserveRequest(key=key, **body)
        return reply(COMBINER.execute(ask, livemode=self.livemode))


class CaptureBody(KeyedBody):
    amount = DecimalField(positive=True, required=False)
    quantity = DecimalField(positive=True, required=False)
    final = serializers.BooleanField(default=True)
    allow_more = serializers.BooleanField(default=False, help_text="Ignored.")


class CapturedAllocationAnswer(AllocationAnswer):
    currency = serializers.CharField(required=False)
    metric = serializers.CharField(required=False)


class CaptureAnswer(DebitAnswer):
    """What a capture burned; usage has its event and its units, and no strategy of its own."""

    strategy = serializers.CharField(required=False)
    allocations = CapturedAllocationAnswer(many=True)
    entry = serializers.UUIDField(allow_null=True)
    captured = serializers.CharField(required=False)
    held_units = serializers.CharField(required=False)
    unit_balance = BalanceAnswer(required=False)
    usage_event = serializers.UUIDField(required=False)
    reservation = serializers.UUIDField()
    status = serializers.ChoiceField(choices=ReservationStatus.choices)
    released = serializers.CharField(required=False)
    held = serializers.CharField()
    uncovered = serializers.CharField(
        required=False, help_text="What nobody pays, under AVAILABLE."
    )
    debt = serializers.CharField(required=False, help_text="What the next credits pay, under DEBT.")


class OneReservationView(ApiView):
    """A view of one reservation, which belongs to one customer."""

    def customer_of(self, **ids: Any) -> str | None:
        """Return the customer of the reservation."""
        found = reservations.get_reservation(
            livemode=self.livemode, reservation_id=ids["reservation_id"]
        )
        return found.book.key


class ReservationCaptureView(OneReservationView):
    scope = ApiScope.WALLETS
    names = {"post": "captureReservation"}
    refusals = (
        *OF_RESERVATIONS,
        *PRICING,
        *SPENDING,
        "debt_limit",
    )
    operation = engine.CaptureRequest.operation

    @extend_schema(request=CaptureBody, responses=CaptureAnswer)
    def post(self, request: Request, reservation_id: UUID) -> HttpResponse:
        """Burn what is held, all or a part; the rest is released when it is final.

        More than is held takes free credits; what they do not cover follows `over_capture`, as does
        a capture within `grace_seconds` after the reservation's end. Reserved usage is captured
        with its real `quantity`, whole or in parts.
        """
        key, body = self.read_keyed(CaptureBody, request)
        return reply(
            self.execute(engine.CaptureRequest(reservation=reservation_id, key=key, **body))
        )

    def execute(self, ask: engine.CaptureRequest) -> engine.Result:
        """Run a capture in the engine; billing overrides this for usage, which it alone can
        price.
        """
        return COMBINER.execute(ask, livemode=self.livemode)


class BatchedCaptureBody(CaptureBody):
    reservation = serializers.UUIDField()


class CapturesBody(StrictSerializer):
    captures = BatchField(noun="capture")


class CaptureBatchView(ApiView):
    scope = ApiScope.WALLETS
    names = {"post": "captureReservations"}

    @extend_schema(request=CapturesBody, responses=BatchAnswer)
    def post(self, request: Request) -> HttpResponse:
        """Run 1 to 1,000 captures; each succeeds or fails alone, and the results are in order.

        Of one reservation in their order; those of usage after those of credits. `status` is the
        number here, and that of the reservation `reservation_status`.
        """
        captures = self.read(CapturesBody, request)["captures"]
        parsed = [read_one(BatchedCaptureBody, engine.CaptureRequest, raw) for raw in captures]
        return answer_each(request, parsed, self.execute)

    def execute(self, asked: Sequence[engine.CaptureRequest]) -> Sequence[engine.Result]:
        """Run captures in the engine; billing overrides this for usage, which it alone can
        price.
        """
        return execute_list(asked, livemode=self.livemode)


class ExtendBody(KeyedBody):
    expires_in = serializers.IntegerField(
        min_value=1, max_value=engine.MAX_EXTENDED, required=False, help_text="Seconds from now."
    )
    amount = DecimalField(positive=True, required=False, help_text="Money to hold in addition.")
    quantity = DecimalField(
        positive=True, required=False, help_text="Units, or usage, to hold in addition."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check that something is asked for."""
        if not attrs.keys() & {"expires_in", "amount", "quantity"}:
            raise serializers.ValidationError(
                {"expires_in": "Name more time, or more to hold."}, code="required"
            )
        return attrs


class ExtendAnswer(ReservationAnswer):
    """The reservation as it holds now; usage has no strategy of its own."""

    strategy = serializers.CharField(required=False)
    entry = serializers.UUIDField(required=False)
    captured = serializers.CharField()
    held_units = serializers.CharField(required=False)


class ReservationExtendView(OneReservationView):
    scope = ApiScope.WALLETS
    names = {"post": "extendReservation"}
    refusals = (
        *OF_RESERVATIONS,
        "no_subscription",
        *PRICING,
        *SPENDING,
    )
    operation = engine.ExtendRequest.operation

    @extend_schema(request=ExtendBody, responses=ExtendAnswer)
    def post(self, request: Request, reservation_id: UUID) -> HttpResponse:
        """Extend a reservation until `expires_in` seconds from now, or more for it, or both.

        It ends at most 7 days after it was made, and never sooner than before. What is added is
        `amount` of money, `quantity` of units or of usage; a 402 leaves the reservation as it was.
        """
        key, body = self.read_keyed(ExtendBody, request)
        return reply(
            self.execute(engine.ExtendRequest(reservation=reservation_id, key=key, **body))
        )

    def execute(self, ask: engine.ExtendRequest) -> engine.Result:
        """Run an extension in the engine; billing overrides this for usage, which it alone can
        price.
        """
        return COMBINER.execute(ask, livemode=self.livemode)


class VoidAnswer(MeasuredAnswer):
    status = serializers.ChoiceField(choices=ReservationStatus.choices)
    captured = serializers.CharField()
    released = serializers.CharField()
    held = serializers.CharField()
    balance = BalanceAnswer()
    entry = serializers.UUIDField(required=False, allow_null=True)
    released_units = serializers.CharField(required=False)
    held_units = serializers.CharField(required=False)
    unit_balance = BalanceAnswer(required=False)
    reservation = serializers.UUIDField(required=False)
    occurred_at = serializers.DateTimeField()


class ReservationVoidView(OneReservationView):
    scope = ApiScope.WALLETS
    names = {"post": "voidReservation"}
    refusals = (
        *OF_RESERVATIONS,
        "cycle_settling",
    )
    operation = engine.VoidRequest.operation

    @extend_schema(request=KeyedBody, responses=VoidAnswer)
    def post(self, request: Request, reservation_id: UUID) -> HttpResponse:
        """Release the held credits."""
        key, _ = self.read_keyed(KeyedBody, request)
        return reply(self.execute(engine.VoidRequest(reservation=reservation_id, key=key)))

    def execute(self, ask: engine.VoidRequest) -> engine.Result:
        """Run a void in the engine; billing overrides this for the usage that it has reserved."""
        return COMBINER.execute(ask, livemode=self.livemode)
