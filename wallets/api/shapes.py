"""Serializers and fields that several wallet endpoints share."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpResponse
from rest_framework import serializers

from aforo.api.fields import CurrencyField, DecimalField, ExpiryField, MapField, StrictSerializer
from aforo.api.idempotency import respond
from aforo.errors import DomainError
from aforo.protocol import attributes
from ledger.entries import books
from pricing.models import CreditKind
from pricing.models.credit_units import UNIT_CODE
from wallets import port
from wallets.debits.engine import Result
from wallets.debits.shortages import SKIPPED

# The codes that calls refuse by: for lack of credits or leave to spend them, for what usage costs,
# and for what a reservation is by now.
SPENDING = (
    "insufficient_funds",
    "budget_exceeded",
    "overage_limit",
    "suspended",
    "paused",
    "cycle_settling",
)
PRICING = ("quota_exceeded", "charge_out_of_range")
OF_RESERVATIONS = ("unknown_reservation", "reservation_expired", "reservation_closed")


class CreditsField(CurrencyField):
    """The currency of credits: an ISO 4217 code, or the code of a credit unit, which the service
    looks up; lower case is accepted.
    """

    def takes(self, code: str) -> bool:
        """Return whether a code can be meant."""
        return super().takes(code) or re.fullmatch(UNIT_CODE, code) is not None


class UnitField(CurrencyField):
    """The code of a credit unit, which the service looks up; lower case is accepted."""

    def takes(self, code: str) -> bool:
        """Return whether a code can be meant."""
        return re.fullmatch(UNIT_CODE, code) is not None


class CustomerIdField(serializers.CharField):
    """The client's own id of a customer."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=64, **kwargs)


class _AttributeField(serializers.CharField):
    """The value of an attribute: text as it is, numbers and spaces at its ends included."""

    def to_internal_value(self, data: Any) -> str:
        """Check that it is text."""
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class AttributesField(MapField):
    """What a client calls a use of credits (team, user, agent, task, model): at most 16 names of 1
    to 40 characters, values of 1 to 100 characters (docs/decisions.md#d290).
    """

    default_error_messages = {
        "name": "A name has 1 to 40 of the characters a to z, 0 to 9 and _.",
    }
    limit = attributes.MOST

    def __init__(self, **kwargs: Any) -> None:
        value = _AttributeField(max_length=attributes.LONGEST, trim_whitespace=False)
        super().__init__(child=value, **kwargs)

    def run_child_validation(self, data: Any) -> dict[str, str]:
        """Check the names, then each value; every fault is named where it is."""
        wrong = [str(name) for name in data if not attributes.NAME.fullmatch(str(name))]
        if wrong:
            message = str(self.error_messages["name"])
            raise serializers.ValidationError({name: [message] for name in wrong}, code="invalid")
        checked: dict[str, str] = super().run_child_validation(data)
        return checked


class MoneyOrUnits(StrictSerializer):
    """Either `amount` (with a currency) or `metric` and `quantity`, never both."""

    amount = DecimalField(positive=True, required=False)
    currency = CreditsField(required=False)
    metric = serializers.CharField(max_length=255, required=False)
    quantity = DecimalField(positive=True, required=False)

    currency_required = False

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check that exactly one of the two forms is used."""
        is_money = "amount" in attrs
        if is_money == ("quantity" in attrs):
            raise serializers.ValidationError(
                {"amount": "Give amount, or metric and quantity."}, code="required"
            )
        if is_money and "metric" in attrs:
            raise serializers.ValidationError(
                {"metric": "An amount has no metric."}, code="invalid"
            )
        if not is_money and "metric" not in attrs:
            raise serializers.ValidationError({"metric": "Name the metric."}, code="required")
        if not is_money and "currency" in attrs:
            raise serializers.ValidationError({"currency": "Units have none."}, code="invalid")
        if is_money and self.currency_required and "currency" not in attrs:
            raise serializers.ValidationError(
                {"currency": "Name the currency."}, code="currency_required"
            )
        return attrs


class KeyedBody(StrictSerializer):
    """A body that moves credits; its key may stand in the header instead."""

    idempotency_key = serializers.CharField(max_length=255, required=False)


class AllocationAnswer(serializers.Serializer[Any]):
    lot = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=CreditKind.choices)
    amount = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    expires_at = serializers.DateTimeField(allow_null=True)
    balance_after = serializers.CharField()


class MeasuredAnswer(serializers.Serializer[Any]):
    """Money as `amount` and `currency`, units as `metric` and `quantity`."""

    id = serializers.UUIDField()
    customer_id = serializers.CharField()
    amount = serializers.CharField(required=False)
    currency = serializers.CharField(required=False)
    metric = serializers.CharField(required=False)
    quantity = serializers.CharField(required=False)


class BalanceAnswer(serializers.Serializer[Any]):
    available = serializers.CharField()
    held = serializers.CharField()
    by_kind = serializers.DictField(child=serializers.CharField())


class SkippedAnswer(serializers.Serializer[Any]):
    """A lot with something left that was not used."""

    lot = serializers.UUIDField()
    reason = serializers.ChoiceField(choices=SKIPPED)
    amount = serializers.CharField(help_text="How much of it was not used.")


class OfferAnswer(serializers.Serializer[Any]):
    """A top-up that would cover what is missing, and the call that buys it."""

    amount = serializers.CharField()
    currency = serializers.CharField()
    pack = serializers.CharField(required=False, help_text="The pack that it is the price of.")
    times = serializers.IntegerField(help_text="How many of it are needed.")
    method = serializers.CharField()
    path = serializers.CharField()
    body = serializers.DictField()


class LotAnswer(serializers.Serializer[Any]):
    lot = serializers.UUIDField()
    currency = serializers.CharField(required=False)
    metric = serializers.CharField(required=False)
    unit = serializers.CharField(required=False, help_text="The credit unit, of its credits.")
    carrying_currency = serializers.CharField(
        required=False, allow_null=True, help_text="What was paid for credits of a unit is in it."
    )
    kind = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    granted = serializers.CharField()
    remaining = serializers.CharField()
    held = serializers.CharField()
    carrying = serializers.CharField()
    priority = serializers.IntegerField()
    effective_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    frozen_at = serializers.DateTimeField(allow_null=True)


class IssuedAnswer(MeasuredAnswer):
    status = serializers.CharField(required=False)
    lots = LotAnswer(many=True)
    entry = serializers.UUIDField(allow_null=True)
    invoice = serializers.CharField(required=False)
    unit = serializers.CharField(required=False, help_text="The credit unit that was bought.")
    credits = serializers.CharField(required=False, help_text="How many credits of it.")
    tax = serializers.CharField(required=False, help_text="Charged on top of the amount.")
    total = serializers.CharField(required=False, help_text="What is paid, tax included.")


def resolve_expiry(body: dict[str, Any], *, livemode: bool) -> None:
    """Replace an `expires_at` that is only a date by the end of that day in the customer's zone.

    Raises: UnknownCustomer.
    """
    read = body.get("expires_at")
    if isinstance(read, date) and not isinstance(read, datetime):
        book = books.get_book(livemode=livemode, key=body["customer_id"])
        zone = ZoneInfo(port.billing().traits_of([book])[book.pk].zone)
        body["expires_at"] = ExpiryField.moment_of(read, zone)


class ApprovalAnswer(serializers.Serializer[Any]):
    """What waits for a second person; approved, it is done under the key `approval:{approval}`."""

    approval = serializers.UUIDField()
    status = serializers.ChoiceField(choices=["PENDING"])


def reply(result: Result) -> HttpResponse:
    """Return the HTTP response of an answer, fresh or replayed, verbatim.

    Raises: the refusal, if it is one.
    """
    if isinstance(result, DomainError):
        raise result
    return respond(result)
