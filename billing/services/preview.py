"""What a customer would pay: any version of a plan, typed-in usage, the settlement's stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from aforo.errors import FieldError, Invalid
from aforo.periods import Interval, period, wall
from aforo.sandbox.services import now_for
from billing import pipeline
from billing.models import Customer
from billing.pipeline import load, showing
from billing.pipeline.draft import Draft, MetricUsage
from billing.services.customers import get_customer
from pricing import services as pricing
from pricing.models import BillingMode, Metric, RatePlanVersion
from pricing.terms import parse_caps
from wallets import reads


def preview(
    *,
    livemode: bool,
    version: RatePlanVersion,
    usage: Mapping[str, Decimal],
    now: datetime,
    customer_id: str | None = None,
    billing_mode: str = BillingMode.HYBRID,
    coupon: str | None = None,
) -> dict[str, object]:
    """Run the nine pure stages over a month from `now`; nothing is written.

    With a customer, its credits alive now pay, in the version's burn order, and its tax applies;
    without one there are no credits. Each quantity counts as one event.

    Raises: Invalid (`unknown_metric`, `unknown_coupon`, `wrong_currency`), UnknownCustomer.
    """
    known = set(Metric.objects.filter(livemode=livemode).values_list("code", flat=True))
    faults = [
        FieldError(f"/usage/{code}", "unknown_metric", f"There is no metric {code}.")
        for code in usage
        if code not in known
    ]
    if faults:
        raise Invalid(faults)
    draft = _draft(version, usage, billing_mode, now)
    if coupon is not None:
        currency = version.plan.currency
        found = pricing.coupon_for(livemode=livemode, code=coupon, currency=currency)
        draft = replace(draft, coupon=load.as_discount(found))
    if customer_id is not None:
        draft = _for_customer(draft, get_customer(livemode=livemode, customer_id=customer_id))
    run = pipeline.run(draft)
    return {
        "rate_plan": {"code": version.plan.code, "version": version.number},
        "billing_mode": billing_mode,
        "stages": showing.stages(run),
        "totals": showing.totals(run),
        "waterfall": [
            {"lot": burn.lot, "kind": burn.kind, "metric": metric, "quantity": burn.quantity}
            for metric, burns in sorted(run.unit_burns.items())
            for burn in burns
        ]
        + [
            {"lot": burn.lot, "kind": burn.kind, "currency": run.currency, "amount": burn.quantity}
            for burn in run.money_burns
        ],
    }


def _draft(
    version: RatePlanVersion, usage: Mapping[str, Decimal], billing_mode: str, now: datetime
) -> Draft:
    return Draft(
        currency=version.plan.currency,
        billing_mode=billing_mode,
        period=period(wall(now, UTC), UTC, Interval.MONTH, 1, 0),
        charges=load.charge_terms(pricing.charges_of(version)),
        usage={metric: MetricUsage(quantity, 1) for metric, quantity in usage.items()},
        caps=parse_caps(version.caps),
        minimum_spend=version.minimum_spend,
        maximum_spend=version.maximum_spend,
        money_order=tuple(version.burn_order),
    )


def _for_customer(draft: Draft, customer: Customer) -> Draft:
    """Offer the credits that a customer has now, and apply its tax."""
    book = customer.book
    now = now_for(book)
    alive = [lot for lot in reads.open_lots([book.pk]) if reads.is_alive(lot, now)]
    offered = load.with_credits(draft, book=book, lots=alive)
    rate = load.tax_rate_of(customer, now)
    return replace(offered, tax_rate=rate, ahead_tax_rate=rate)
