"""`/v1/dunning-schedule`, and the dunning of a customer."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import ApiScope
from aforo.actors import ACTOR_KINDS
from aforo.api.fields import DecimalField, StrictSerializer, TimeField
from aforo.api.rows import RowsView
from aforo.api.views import ApiView
from billing.dunning import pauses, schedules
from billing.models import Reminder
from billing.subscriptions import spend_rules
from ledger.entries import books


class ScheduleBody(StrictSerializer):
    reminder_days = serializers.ListField(
        child=serializers.IntegerField(min_value=0, max_value=schedules.LAST_DAY),
        max_length=schedules.MOST_REMINDERS,
    )
    suspend_day = serializers.IntegerField(
        min_value=0, max_value=schedules.LAST_DAY, allow_null=True
    )


class ScheduleAnswer(serializers.Serializer[Any]):
    reminder_days = serializers.ListField(child=serializers.IntegerField())
    suspend_day = serializers.IntegerField(allow_null=True)


class DunningScheduleView(ApiView):
    scope = ApiScope.BILLING
    names = {"get": "getDunningSchedule", "put": "setDunningSchedule"}

    @extend_schema(responses=ScheduleAnswer)
    def get(self, request: Request) -> Response:
        """Return on which days after its due date an invoice is reminded of, and its customer
        suspended.
        """
        return Response(ScheduleAnswer(schedules.in_force(livemode=self.livemode)).data)

    @extend_schema(request=ScheduleBody, responses={200: ScheduleAnswer})
    def put(self, request: Request) -> Response:
        """Set the schedule of the key's mode, from now on; no `suspend_day`: nobody is
        suspended.
        """
        body = self.read(ScheduleBody, request)
        return Response(ScheduleAnswer(schedules.change(livemode=self.livemode, **body)).data)


class PauseBody(StrictSerializer):
    until = TimeField()
    reason = serializers.CharField(max_length=300)


class CustomerDunningAnswer(serializers.Serializer[Any]):
    paused_until = serializers.DateTimeField(allow_null=True)
    reason = serializers.CharField(allow_null=True)
    suspended = serializers.BooleanField()


class CustomerDunningView(ApiView):
    scope = ApiScope.BILLING
    names = {
        "get": "getCustomerDunning",
        "put": "pauseCustomerDunning",
        "delete": "resumeCustomerDunning",
    }
    refusals = ("unknown_customer", "dunning_not_paused")

    @extend_schema(responses=CustomerDunningAnswer)
    def get(self, request: Request, customer_id: str) -> Response:
        """Return until when the customer is not reminded, and whether dunning has suspended it."""
        return self._answer(customer_id)

    @extend_schema(request=PauseBody, responses={200: CustomerDunningAnswer})
    def put(self, request: Request, customer_id: str) -> Response:
        """Pause the dunning of a customer until a moment; the last step due by then is done at its
        end.
        """
        body = self.read(PauseBody, request)
        pauses.pause(livemode=self.livemode, customer_id=customer_id, **body)
        return self._answer(customer_id)

    @extend_schema(responses={200: CustomerDunningAnswer})
    def delete(self, request: Request, customer_id: str) -> Response:
        """End the pause now."""
        pauses.resume(livemode=self.livemode, customer_id=customer_id)
        return self._answer(customer_id)

    def _answer(self, customer_id: str) -> Response:
        book = books.get_book(livemode=self.livemode, key=customer_id)
        pause = pauses.current(book)
        shown = {
            "paused_until": None if pause is None else pause.until,
            "reason": None if pause is None else pause.reason,
            "suspended": spend_rules.suspending().filter(customer=book.pk).exists(),
        }
        return Response(CustomerDunningAnswer(shown).data)


class ReminderAnswer(serializers.ModelSerializer[Reminder]):
    invoice = serializers.CharField(source="invoice.number")
    open = DecimalField()
    currency = serializers.CharField(source="invoice.currency")
    actor_kind = serializers.ChoiceField(choices=ACTOR_KINDS)

    class Meta:
        model = Reminder
        fields = [
            "id", "invoice", "day", "action", "open", "currency", "occurred_at", "actor_kind",
            "actor_id", "created_at",
        ]  # fmt: skip


class RemindersView(RowsView[Reminder]):
    scope = ApiScope.BILLING
    names = {"get": "listReminders"}
    refusals = ("unknown_customer",)
    serializer_class = ReminderAnswer

    def get_queryset(self) -> QuerySet[Reminder]:
        """Return the customer's reminders."""
        if "customer_id" not in self.kwargs:
            return Reminder.objects.none()
        book = books.get_book(livemode=self.livemode, key=self.kwargs["customer_id"])
        return Reminder.objects.filter(invoice__customer=book.pk)
