"""Define metrics; one that is priced keeps what it measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import IntegrityError, transaction

from aforo.errors import Conflict, FieldError, Invalid, NotFound
from pricing.models import (
    Aggregation,
    Metric,
)
from pricing.services.codes import CodeTaken

OPERATORS = ("eq", "ne", "gt", "gte", "lt", "lte", "in", "not_in", "contains", "exists")


class UnknownMetric(NotFound):
    default_code = "unknown_metric"


class MetricInUse(Conflict):
    default_code = "metric_in_use"


def create_metric(
    *,
    livemode: bool,
    code: str,
    name: str,
    aggregation: str,
    property: str = "",  # noqa: A002
    filters: Sequence[Mapping[str, Any]] = (),
) -> Metric:
    """Define what is measured. COUNT counts events, SUM without a property sums quantities.

    Raises: CodeTaken; Invalid when an aggregation needs a property.
    """
    if aggregation == Aggregation.UNIQUE and not property:
        detail = "UNIQUE counts the distinct values of a property: name it."
        raise Invalid([FieldError("/property", "required", detail)])
    try:
        with transaction.atomic():
            return Metric.objects.create(
                livemode=livemode,
                code=code,
                name=name,
                aggregation=aggregation,
                property=property,
                filters=[dict(rule) for rule in filters],
            )
    except IntegrityError as error:
        raise CodeTaken(f"There is a metric {code} already.") from error


def get_metric(*, livemode: bool, code: str) -> Metric:
    """Find a metric.

    Raises: UnknownMetric.
    """
    metric = Metric.objects.filter(livemode=livemode, code=code).first()
    if metric is None:
        raise UnknownMetric(f"There is no metric {code}.")
    return metric


@transaction.atomic
def update_metric(*, livemode: bool, code: str, changes: Mapping[str, Any]) -> Metric:
    """Change a metric; once a charge uses it only its name may change.

    Raises: UnknownMetric, MetricInUse.
    """
    metric = get_metric(livemode=livemode, code=code)
    changed = [name for name, value in changes.items() if getattr(metric, name) != value]
    if set(changed) - {"name"} and metric.charges.exists():
        raise MetricInUse(f"The metric {code} is priced: only its name can change.")
    for name in changed:
        setattr(metric, name, changes[name])
    if changed:
        metric.save(update_fields=changed)
    return metric
