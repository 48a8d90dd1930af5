"""Forms that refuse what the API refuses, with the same sentences beside the same fields."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.validators import RegexValidator

from aforo.errors import Conflict, FieldError, Invalid
from aforo.money import EXPONENTS
from pricing import catalogue
from pricing.metrics import metrics
from pricing.models import (
    Charge,
    Coupon,
    GrantTemplate,
    Metric,
    Offering,
    OfferingStatus,
    RatePlan,
    RatePlanVersion,
)
from pricing.offerings import coupons, offerings
from pricing.plans import codes, plans, version_spec
from pricing.terms import caps_to_json, parse, parse_caps, parse_rollover, rollover_to_json, to_json

SOUND_CODE = RegexValidator(codes.CODE_PATTERN, "Letters, digits and . _ : - only.")


def add_faults(form: forms.BaseForm, error: Invalid, *, field: str = "") -> None:
    """Add the faults to the fields that their pointers begin with, or to `field`."""
    for fault in error.errors:
        name = field or fault.pointer.strip("/").partition("/")[0]
        inside = fault.pointer.strip("/") != name
        text = f"{fault.pointer}: {fault.detail}" if inside and fault.pointer else fault.detail
        form.add_error(name if name in form.fields else None, text)


class MetricForm(forms.ModelForm[Metric]):
    class Meta:
        model = Metric
        fields = ["livemode", "code", "name", "aggregation", "property", "filters"]

    def clean(self) -> dict[str, Any]:
        """Check what is measured; a priced metric has no such fields."""
        cleaned = super().clean() or {}
        if {"aggregation", "property", "filters"} <= cleaned.keys():
            try:
                cleaned["filters"] = metrics.check_measure(
                    aggregation=cleaned["aggregation"],
                    property=cleaned["property"],
                    filters=_rules(cleaned["filters"]),
                )
            except Invalid as error:
                add_faults(self, error)
        return cleaned

    def clean_code(self) -> str:
        """Check that the code fits into an address."""
        return _sound_code(self)


def _rules(filters: object) -> list[Any]:
    """Return the filters as a list; an empty field is an empty one."""
    if filters in (None, ""):
        return []
    if not isinstance(filters, list):
        detail = "Write a list of rules: [{property, op, value}]."
        raise Invalid([FieldError("/filters", "invalid_type", detail)])
    return filters


def _sound_code(form: forms.BaseForm) -> str:
    code = str(form.cleaned_data["code"])
    SOUND_CODE(code)
    return code


class RatePlanForm(forms.ModelForm[RatePlan]):
    class Meta:
        model = RatePlan
        fields = ["livemode", "code", "name", "currency"]

    def clean_code(self) -> str:
        """Check that the code fits into an address."""
        return _sound_code(self)

    def clean_currency(self) -> str:
        """Check that the currency can be sold in."""
        return currency_of(self.cleaned_data["currency"])


def currency_of(code: str) -> str:
    if code and code.upper() not in EXPONENTS:
        raise forms.ValidationError("This currency is not supported.")
    return code.upper()


class VersionForm(forms.ModelForm[RatePlanVersion]):
    class Meta:
        model = RatePlanVersion
        fields = [
            "burn_order", "minimum_spend", "maximum_spend", "caps", "grace_hours",
            "lapse_grace_hours", "late_usage",
        ]  # fmt: skip

    def clean(self) -> dict[str, Any]:
        """Check the plan-level terms against each other."""
        cleaned = super().clean() or {}
        if self.errors:
            return cleaned
        try:
            caps = parse_caps(cleaned.get("caps") or {})
        except Invalid as error:
            add_faults(self, error, field="caps")
            return cleaned
        cleaned["caps"] = caps_to_json(caps)
        try:
            plans.check_version_spec(
                plan=self.instance.plan,
                spec=version_spec.VersionSpec(
                    charges=(),
                    burn_order=cleaned["burn_order"],
                    minimum_spend=cleaned["minimum_spend"],
                    maximum_spend=cleaned["maximum_spend"],
                    caps=cleaned["caps"],
                ),
            )
        except Invalid as error:
            add_faults(self, error)
        return cleaned


class ChargeForm(forms.ModelForm[Charge]):
    """Terms are validated as in the API, with the same messages."""

    class Meta:
        model = Charge
        fields = ["code", "description", "model", "terms", "timing", "position"]

    def clean(self) -> dict[str, Any]:
        """Read the terms by their model."""
        cleaned = super().clean() or {}
        if cleaned.get("model") and cleaned.get("terms") is not None:
            try:
                cleaned["terms"] = dict(to_json(parse(cleaned["model"], cleaned["terms"])))
            except Invalid as error:
                add_faults(self, error, field="terms")
        return cleaned

    def clean_code(self) -> str:
        """Check that the code fits into an address."""
        return _sound_code(self)


class GrantForm(forms.ModelForm[GrantTemplate]):
    class Meta:
        model = GrantTemplate
        fields = [
            "code", "kind", "metric", "quantity", "recurrence", "expires_after_days",
            "expires_at_cycle_end", "priority", "rollover", "ssp_unit_price", "position",
        ]  # fmt: skip

    def clean(self) -> dict[str, Any]:
        """Read the rollover rule, and check that there is one expiry."""
        cleaned = super().clean() or {}
        if cleaned.get("rollover"):
            try:
                cleaned["rollover"] = dict(rollover_to_json(parse_rollover(cleaned["rollover"])))
            except Invalid as error:
                add_faults(self, error, field="rollover")
        if cleaned.get("expires_after_days") and cleaned.get("expires_at_cycle_end"):
            self.add_error("expires_after_days", "After days or at the cycle's end, not both.")
        return cleaned

    def clean_expires_after_days(self) -> int | None:
        """Check that a credit does not lapse before it begins."""
        days: int | None = self.cleaned_data["expires_after_days"]
        if days == 0:
            raise forms.ValidationError("At least one day; leave it empty for no expiry.")
        return days


class OfferingForm(forms.ModelForm[Offering]):
    class Meta:
        model = Offering
        fields = [
            "livemode", "code", "name", "plan", "billing_mode", "interval", "interval_count",
            "trial_days", "overage_limit", "several_per_customer", "gives_again", "status",
        ]  # fmt: skip

    def clean(self) -> dict[str, Any]:
        """Check that the plan is of the same mode, and published."""
        cleaned = super().clean() or {}
        numbers = ("interval_count", "trial_days", "overage_limit")
        try:
            offerings.check_offering(**{name: cleaned[name] for name in numbers if name in cleaned})
        except Invalid as error:
            add_faults(self, error)
        plan: RatePlan | None = cleaned.get("plan")
        if plan is None:
            return cleaned
        if plan.livemode != cleaned.get("livemode"):
            self.add_error("plan", "The plan is of the other mode.")
        if cleaned.get("status") == OfferingStatus.ACTIVE:
            try:
                catalogue.current_version(plan)
            except Conflict as error:
                self.add_error("status", error.detail)
        return cleaned

    def clean_code(self) -> str:
        """Check that the code fits into an address."""
        return _sound_code(self)


class CouponForm(forms.ModelForm[Coupon]):
    class Meta:
        model = Coupon
        fields = [
            "livemode", "code", "type", "value", "currency", "duration", "cycles",
            "max_redemptions",
        ]  # fmt: skip

    def clean(self) -> dict[str, Any]:
        """Check the terms against each other."""
        cleaned = super().clean() or {}
        if not self.errors:
            try:
                coupons.check_coupon(
                    type=cleaned["type"],
                    value=cleaned["value"],
                    currency=cleaned["currency"],
                    duration=cleaned["duration"],
                    cycles=cleaned["cycles"],
                )
            except Invalid as error:
                add_faults(self, error)
        return cleaned

    def clean_code(self) -> str:
        """Check that the code fits into an address."""
        return _sound_code(self)

    def clean_currency(self) -> str:
        """Check that the currency can be sold in."""
        return currency_of(self.cleaned_data["currency"])
