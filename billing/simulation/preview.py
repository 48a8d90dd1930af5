"""Preview of what a customer would pay: any version of a plan, typed-in usage, the settlement's
stages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from aforo.errors import FieldError, Invalid
from aforo.periods import Interval, period, wall
from aforo.sandbox.services import now_for
from billing import calculation
from billing.calculation import presentation
from billing.calculation.calculation import Calculation, MetricUsage
from billing.customers.customers import get_customer
from billing.invoicing.tax_provider import tax_rate_of
from billing.models import Customer
from billing.settlement import coupon_terms, load
from pricing import catalogue
from pricing.models import BillingMode, Metric, RatePlanVersion
from pricing.offerings.coupons import coupon_for
from pricing.terms import parse_caps
from wallets.lots import queries


def preview(
    *,
    livemode: bool,
    version: RatePlanVersion,
    usage: Mapping[str, Decimal],
    now: datetime,
    customer_id: str | None = None,
    billing_mode: str = BillingMode.HYBRID,
    coupon: str | None = None,
    coupons: Sequence[str] = (),
) -> dict[str, object]:
    """Run the nine pure stages over a month from `now`; nothing is written.

    With a customer, its credits alive now pay, in the version's burn order, and its tax applies;
    without one there are no credits. Each quantity counts as one event.

    Raises: Invalid (`unknown_metric`, `unknown_coupon`, `wrong_currency`,
    `coupon_over`), UnknownCustomer.
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
    named = [(code, f"/coupons/{number}") for number, code in enumerate(coupons)]
    if coupon is not None:
        named.insert(0, (coupon, "/coupon"))
    found = (
        coupon_for(
            livemode=livemode,
            code=code,
            currency=version.plan.currency,
            now=now,
            pointer=pointer,
        )
        for code, pointer in named
    )
    draft = replace(draft, coupons=tuple(map(coupon_terms.as_discount, found)))
    if customer_id is not None:
        customer = get_customer(livemode=livemode, customer_id=customer_id)
        draft = _for_customer(draft, customer, version.tax_class)
    run = calculation.run(draft)
    return {
        "rate_plan": {"code": version.plan.code, "version": version.number},
        "billing_mode": billing_mode,
        "stages": presentation.stages(run),
        "totals": presentation.totals(run),
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
) -> Calculation:
    return Calculation(
        currency=version.plan.currency,
        billing_mode=billing_mode,
        period=period(wall(now, UTC), UTC, Interval.MONTH, 1, 0),
        charges=load.charge_terms(catalogue.charges_of(version)),
        usage={metric: MetricUsage(quantity, 1) for metric, quantity in usage.items()},
        caps=parse_caps(version.caps),
        minimum_spend=version.minimum_spend,
        maximum_spend=version.maximum_spend,
        money_order=tuple(version.burn_order),
        tax_inclusive=version.tax_inclusive,
        ahead_tax_inclusive=version.tax_inclusive,
    )


def _for_customer(draft: Calculation, customer: Customer, tax_class: str) -> Calculation:
    """Add the credits that a customer has now, and its tax."""
    book = customer.book
    now = now_for(book)
    alive = [lot for lot in queries.open_lots([book.pk]) if queries.is_alive(lot, now)]
    offered = load.with_credits(draft, book=book, lots=alive)
    rate = tax_rate_of(customer, now, tax_class)
    return replace(offered, tax_rate=rate, ahead_tax_rate=rate)
