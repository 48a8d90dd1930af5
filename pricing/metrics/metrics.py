"""Create and change metrics; one that is priced keeps what it measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import IntegrityError, transaction

from aforo.errors import Conflict, FieldError, Invalid, NotFound
from pricing.metrics.filters import read_filters
from pricing.models import Aggregation, Metric
from pricing.plans.codes import CodeTaken, can_exist


class UnknownMetric(NotFound):
    """No metric of the key's mode has this code.

    Define it by POST /v1/metrics.
    """

    default_code = "unknown_metric"


class MetricInUse(Conflict):
    """A metric that is priced keeps its aggregation, property and filters.

    Change its name only, or define another metric.
    """

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
    """Create a metric. COUNT counts events, SUM without a property sums quantities.

    Raises: CodeTaken; Invalid when an aggregation needs a property, or a filter makes no sense.
    """
    rules = check_measure(aggregation=aggregation, property=property, filters=filters)
    try:
        with transaction.atomic():
            return Metric.objects.create(
                livemode=livemode,
                code=code,
                name=name,
                aggregation=aggregation,
                property=property,
                filters=rules,
            )
    except IntegrityError as error:
        raise CodeTaken(f"There is a metric {code} already.") from error


def check_measure(
    *,
    aggregation: str,
    property: str,  # noqa: A002
    filters: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Check what a metric measures; return the filters as they are stored.

    Raises: Invalid.
    """
    if aggregation == Aggregation.UNIQUE and not property:
        detail = "UNIQUE counts the distinct values of a property: name it."
        raise Invalid([FieldError("/property", "required", detail)])
    return read_filters(filters)


def get_metric(*, livemode: bool, code: str) -> Metric:
    """Find a metric.

    Raises: UnknownMetric.
    """
    found = Metric.objects.filter(livemode=livemode, code=code)
    metric = found.first() if can_exist(code) else None
    if metric is None:
        raise UnknownMetric(f"There is no metric {code}.")
    return metric


@transaction.atomic
def update_metric(*, livemode: bool, code: str, changes: Mapping[str, Any]) -> Metric:
    """Change a metric; once a charge uses it only its name may change.

    Raises: UnknownMetric, MetricInUse, Invalid.
    """
    metric = get_metric(livemode=livemode, code=code)
    measure = {
        name: changes.get(name, getattr(metric, name))
        for name in ("aggregation", "property", "filters")
    }
    wanted = {**changes, **measure, "filters": check_measure(**measure)}
    changed = [name for name, value in wanted.items() if getattr(metric, name) != value]
    in_use = MetricInUse(f"The metric {code} is priced: only its name can change.")
    if set(changed) - {"name"} and metric.charges.exists():
        raise in_use
    for name in changed:
        setattr(metric, name, wanted[name])
    try:
        with transaction.atomic():
            metric.save(update_fields=changed)
    except IntegrityError as error:  # A plan that prices it was published in this moment.
        raise in_use from error
    return metric
