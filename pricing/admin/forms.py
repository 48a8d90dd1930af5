"""Forms that refuse what the API refuses, with the same sentences beside the same fields."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Any

from django import forms
from django.core.validators import RegexValidator

from aforo.adminui.forms import Textarea, add_faults
from aforo.errors import Conflict, FieldError, Invalid
from aforo.money import EXPONENTS, plain
from pricing import catalogue
from pricing.metrics import metrics
from pricing.models import (
    Charge,
    ChargeMetric,
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
from pricing.terms import caps_to_json, parse_caps

SOUND_CODE = RegexValidator(codes.CODE_PATTERN, "Letters, digits and . _ : - only.")


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
            "draft_hours", "lapse_grace_hours", "late_usage", "tax_class",
            "tax_inclusive",
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
    """A charge of a draft; its terms are checked with the others', by its formset."""

    metrics = forms.CharField(
        required=False,
        widget=Textarea(attrs={"rows": 2}),
        help_text="One a line: the code of a metric that feeds it, and its weight where it is not "
        "one, such as: output_tokens 3.",
    )

    class Meta:
        model = Charge
        fields = ["code", "description", "model", "terms", "timing", "position"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        feeds = [] if self.instance.pk is None else sorted(self.instance.feeds.all(), key=_age)
        self.initial["metrics"] = "\n".join(
            feed.metric.code if feed.weight == 1 else f"{feed.metric.code} {plain(feed.weight)}"
            for feed in feeds
        )

    def clean_code(self) -> str:
        """Check that the code fits into an address."""
        return _sound_code(self)

    def clean_metrics(self) -> list[dict[str, Any]]:
        """Read a metric and its weight a line."""
        lines = [line.split() for line in self.cleaned_data["metrics"].splitlines() if line.strip()]
        return [{"metric": line[0], "weight": _weight(line[1:])} for line in lines]

    def part(self) -> dict[str, Any]:
        """Return the charge as the API takes it."""
        names = ("code", "description", "model", "terms", "timing", "metrics")
        return {name: self.cleaned_data[name] for name in names}


def _age(feed: ChargeMetric) -> int:
    return feed.pk


def _weight(words: list[str]) -> Decimal:
    """Return the weight that follows a metric's code; one where none does."""
    detail = "A code and a number above zero, such as: output_tokens 3."
    try:
        (weight,) = [Decimal(word) for word in words] or [Decimal(1)]
    except (InvalidOperation, ValueError) as error:
        raise forms.ValidationError(detail) from error
    if not weight.is_finite() or weight <= 0:
        raise forms.ValidationError(detail)
    return weight


class GrantForm(forms.ModelForm[GrantTemplate]):
    """A grant of a draft, checked with the others by its formset."""

    class Meta:
        model = GrantTemplate
        fields = [
            "code", "kind", "metric", "quantity", "recurrence", "expires_after_days",
            "expires_at_cycle_end", "priority", "rollover", "ssp_unit_price", "position",
        ]  # fmt: skip

    def clean_expires_after_days(self) -> int | None:
        """Check that a credit does not lapse before it begins."""
        days: int | None = self.cleaned_data["expires_after_days"]
        if days == 0:
            raise forms.ValidationError("At least one day; leave it empty for no expiry.")
        return days

    def part(self) -> dict[str, Any]:
        """Return the grant as the API takes it."""
        names = (
            "code", "kind", "recurrence", "expires_after_days", "expires_at_cycle_end",
            "priority", "rollover", "ssp_unit_price",
        )  # fmt: skip
        metric, quantity = self.cleaned_data["metric"], self.cleaned_data["quantity"]
        what = (
            {"amount": quantity}
            if metric is None
            else {"metric": metric.code, "quantity": quantity}
        )
        return what | {name: self.cleaned_data[name] for name in names}


class PartFormSet(forms.BaseInlineFormSet[Any, RatePlanVersion, Any]):
    """The charges or the grants of a draft, checked together by the service that writes them."""

    # The member of the API's version that they are.
    member = ""

    def clean(self) -> None:
        """Check the parts; what is wrong with one is said on its row."""
        super().clean()
        if any(self.errors) or not self.has_changed():
            return
        rows = self._rows()
        members: dict[str, Any] = {self.member: [row.part() for row in rows]}
        spec = replace(version_spec.VersionSpec(charges=()), **members)
        try:
            plans.check_version_spec(plan=self.instance.plan, spec=spec)
        except Invalid as error:
            for fault in error.errors:
                number, _, field = (
                    fault.pointer.removeprefix(f"/{self.member}").strip("/").partition("/")
                )
                if not number:
                    raise forms.ValidationError(fault.detail) from error
                add_faults(rows[int(number)], Invalid([replace(fault, pointer=f"/{field}")]))

    def parts(self) -> list[dict[str, Any]]:
        """Return the parts as the API takes them, by their positions."""
        return [row.part() for row in self._rows()]

    def _rows(self) -> list[Any]:
        kept = [row for row in self.forms if row.cleaned_data and row not in self.deleted_forms]
        return sorted(kept, key=lambda row: row.cleaned_data["position"])


class ChargeFormSet(PartFormSet):
    member = "charges"


class GrantFormSet(PartFormSet):
    member = "grants"


class OfferingForm(forms.ModelForm[Offering]):
    class Meta:
        model = Offering
        fields = [
            "livemode", "code", "name", "plan", "billing_mode", "interval", "interval_count",
            "trial_days", "overage_limit", "over_capture", "grace_seconds", "debt_limit",
            "several_per_customer", "gives_again", "status",
        ]  # fmt: skip

    def clean(self) -> dict[str, Any]:
        """Check that the plan is of the same mode, and published."""
        cleaned = super().clean() or {}
        checked = (
            "interval_count", "trial_days", "overage_limit", "billing_mode", "over_capture",
            "grace_seconds", "debt_limit",
        )  # fmt: skip
        try:
            offerings.check_offering(**{name: cleaned[name] for name in checked if name in cleaned})
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
            "max_redemptions", "starts_at", "ends_at", "charges", "carries_rest",
        ]  # fmt: skip

    def clean(self) -> dict[str, Any]:
        """Check the terms against each other."""
        cleaned = super().clean() or {}
        if not self.errors:
            try:
                coupons.check_coupon(
                    Coupon(
                        **{n: cleaned.get(n, getattr(self.instance, n)) for n in self.Meta.fields}
                    )
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
