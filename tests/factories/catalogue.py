"""Metrics, and plans that are published and on sale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from factory.declarations import LazyAttribute, SelfAttribute, SubFactory

from pricing.metrics import metrics
from pricing.models import Metric, Offering, RatePlanVersion
from pricing.offerings import offerings
from pricing.plans import plans, version_spec
from tests.factories.making import ServiceFactory
from tests.factories.months import START

TOKENS_AT_2_MILLS: list[dict[str, Any]] = [
    {
        "code": "tokens",
        "description": "Tokens",
        "model": "PER_UNIT",
        "metric": "tokens",
        "terms": {"unit_price": "0.002"},
    }
]


class MetricFactory(ServiceFactory[Metric]):
    """A metric of this code, created where there is none."""

    class Meta:
        model = Metric

    livemode = False
    code = "tokens"
    name = SelfAttribute("code")
    aggregation = "SUM"

    @classmethod
    def _create(cls, model_class: type[Metric], *args: Any, **fields: Any) -> Metric:
        found = Metric.objects.filter(livemode=fields["livemode"], code=fields["code"]).first()
        return found or metrics.create_metric(**fields)


class RatePlanFactory(ServiceFactory[RatePlanVersion]):
    """A plan whose first version is published; `spec` has what else the version says."""

    class Meta:
        model = RatePlanVersion

    livemode = False
    code = "plan_tokens_monthly"
    name = SelfAttribute("code")
    currency = "USD"
    charges = TOKENS_AT_2_MILLS
    grants = ()
    spec = None

    @classmethod
    def _create(
        cls, model_class: type[RatePlanVersion], *args: Any, **fields: Any
    ) -> RatePlanVersion:
        said = {name: fields.pop(name) for name in ("charges", "grants")}
        spec = version_spec.VersionSpec(**said, **(fields.pop("spec") or {}))
        MetricFactory.make(livemode=fields["livemode"])
        plans.create_rate_plan(**fields, spec=spec)
        return plans.publish(livemode=fields["livemode"], code=fields["code"], now=START)


class OfferingFactory(ServiceFactory[Offering]):
    """A plan of its own, sold by the month; `plan__charges` and the like are terms of the plan."""

    class Meta:
        model = Offering

    livemode = False
    code = "tokens_monthly"
    name = SelfAttribute("code")
    billing_mode = "HYBRID"
    interval = "MONTH"
    plan = SubFactory(
        RatePlanFactory,
        livemode=SelfAttribute("..livemode"),
        code=LazyAttribute(lambda plan: f"plan_{plan.factory_parent.code}"),
        name=SelfAttribute("..code"),
    )

    @classmethod
    def _create(cls, model_class: type[Offering], *args: Any, **fields: Any) -> Offering:
        version: RatePlanVersion = fields.pop("plan")
        return offerings.create_offering(**fields, rate_plan=version.plan.code)


def metric(code: str = "tokens", **terms: Any) -> Metric:
    """Return a metric, created if need be."""
    return MetricFactory.make(code=code, **terms)


def offering(
    code: str = "tokens_monthly",
    *,
    charges: Sequence[dict[str, Any]] = TOKENS_AT_2_MILLS,
    grants: Sequence[dict[str, Any]] = (),
    spec: dict[str, Any] | None = None,
    **terms: Any,
) -> Offering:
    """Publish a plan and sell it by the month."""
    plan = {"plan__charges": charges, "plan__grants": grants, "plan__spec": spec}
    return OfferingFactory.make(code=code, **plan, **terms)
