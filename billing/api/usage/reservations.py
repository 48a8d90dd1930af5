"""`/v1/wallets/reservations` and `/v1/usage/reservations`: the same objects, under one id each.

The first lists all reservations, the second only those of usage.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import ApiScope
from aforo.api.views import ApiView
from billing.realtime import usage_calls, usage_reservations
from wallets.api import reservations
from wallets.debits import engine
from wallets.holds import reservations as wallet_reservations
from wallets.models import Reservation


class AnyReservationRow(reservations.ReservationRow):
    """Money as `amount` and `currency`, units as `metric` and `quantity`; of usage both, its
    `captured` being a quantity.
    """

    kind = serializers.CharField(help_text="CREDITS, or USAGE that is captured by its quantity.")

    def to_representation(self, instance: Reservation) -> dict[str, Any]:
        """Return a reservation as it is now, and the usage it is for."""
        return usage_reservations.describe(instance)


class ReservationsView(reservations.ReservationsView):
    serializer_class = AnyReservationRow

    def get_queryset(self) -> QuerySet[Reservation]:
        """Return the reservations of the key's mode, with the usage that they are for."""
        return super().get_queryset().select_related("usage__metric")


class ReservationView(reservations.OneReservationView):
    scope = ApiScope.WALLETS
    names = {"get": "getReservation"}
    refusals = ("unknown_reservation",)

    @extend_schema(responses=AnyReservationRow)
    def get(self, request: Request, reservation_id: UUID) -> Response:
        """Return a reservation."""
        found = wallet_reservations.get_reservation(
            livemode=self.livemode, reservation_id=reservation_id
        )
        return Response(usage_reservations.describe(found))


class CaptureView(reservations.ReservationCaptureView):
    """Captures reservations of credits, and of usage, which has to be priced."""

    def execute(self, ask: engine.CaptureRequest) -> engine.Result:
        """Capture credits; what turns out to be of usage is captured at its price."""
        result = super().execute(ask)
        if isinstance(result, engine.ReservationOfUsage):
            return usage_calls.execute(livemode=self.livemode, ask=ask)
        return result


class CaptureBatchView(reservations.CaptureBatchView):
    """Captures of credits in one list, and of usage in another."""

    def execute(self, asked: Sequence[engine.CaptureRequest]) -> Sequence[engine.Result]:
        """Capture credits; what turns out to be of usage is captured at its price."""
        results = list(super().execute(asked))
        of_usage = [
            n for n, result in enumerate(results) if isinstance(result, engine.ReservationOfUsage)
        ]
        if of_usage:
            priced = usage_calls.execute_list(
                livemode=self.livemode, asked=[asked[n] for n in of_usage]
            )
            for n, result in zip(of_usage, priced, strict=True):
                results[n] = result
        return results


class ExtendView(reservations.ReservationExtendView):
    """Extensions of reservations of credits, and of usage, which has to be priced."""

    def execute(self, ask: engine.ExtendRequest) -> engine.Result:
        """Extend credits; what turns out to be of usage is priced again."""
        result = super().execute(ask)
        if isinstance(result, engine.ReservationOfUsage):
            return usage_calls.execute(livemode=self.livemode, ask=ask)
        return result


class VoidView(reservations.ReservationVoidView):
    """Voids reservations of credits, and of usage."""

    def execute(self, ask: engine.VoidRequest) -> engine.Result:
        """Release reserved usage; leave the rest to the engine."""
        if usage_reservations.is_usage(livemode=self.livemode, reservation_id=ask.reservation):
            return usage_calls.execute(livemode=self.livemode, ask=ask)
        return super().execute(ask)


class UsageReservationsView(ApiView, generics.ListAPIView[Reservation]):
    scope = ApiScope.USAGE
    names = {"get": "listUsageReservations"}
    serializer_class = AnyReservationRow
    filterset_class = reservations.ReservationFilter

    def get_queryset(self) -> QuerySet[Reservation]:
        """Return the usage reservations of the key's mode."""
        return usage_reservations.reservations(livemode=self.livemode)


class UsageReservationView(reservations.OneReservationView):
    scope = ApiScope.USAGE
    names = {"get": "getUsageReservation"}
    refusals = ("unknown_reservation",)

    @extend_schema(responses=AnyReservationRow)
    def get(self, request: Request, reservation_id: UUID) -> Response:
        """Return a usage reservation."""
        found = usage_reservations.get(livemode=self.livemode, reservation_id=reservation_id)
        return Response(usage_reservations.describe(found))


class UsageCaptureView(reservations.ReservationCaptureView):
    scope = ApiScope.USAGE
    names = {"post": "captureUsageReservation"}

    def execute(self, ask: engine.CaptureRequest) -> engine.Result:
        """Capture reserved usage at its price."""
        return usage_calls.execute(livemode=self.livemode, ask=ask)


class UsageExtendView(reservations.ReservationExtendView):
    scope = ApiScope.USAGE
    names = {"post": "extendUsageReservation"}

    def execute(self, ask: engine.ExtendRequest) -> engine.Result:
        """Extend reserved usage, priced again."""
        return usage_calls.execute(livemode=self.livemode, ask=ask)


class UsageVoidView(reservations.ReservationVoidView):
    scope = ApiScope.USAGE
    names = {"post": "voidUsageReservation"}

    def execute(self, ask: engine.VoidRequest) -> engine.Result:
        """Release reserved usage."""
        return usage_calls.execute(livemode=self.livemode, ask=ask)
