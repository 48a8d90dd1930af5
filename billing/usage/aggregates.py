"""Aggregation of metered usage, in SQL; a sealed set is immutable, so it takes no lock."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection

from aforo import money
from aforo.periods import Period
from billing.calculation.calculation import MetricUsage
from billing.models import Settlement, Subscription, UsageEvent
from pricing import catalogue
from pricing.models import Aggregation, LateUsagePolicy, Metric

Parameter = str | list[str] | datetime

# What a property may be as a number: sums of any number of events fit into the books. What else was
# ever stored is no number, and left out, so that no event can stop whoever adds them up.
NUMERIC = r"^-?0*[0-9]{1,14}(\.[0-9]{1,12}0*)?$"
# These read no number; all others read the metric's property as one.
TEXTUAL = frozenset({Aggregation.UNIQUE, Aggregation.COUNT})
_AGGREGATES = {
    Aggregation.COUNT: "count(*)",
    Aggregation.SUM: "sum({value})",
    Aggregation.MAX: "max({value})",
    Aggregation.AVERAGE: "round(avg({value}), 12)",
    Aggregation.LATEST: "(array_agg({value} ORDER BY occurred_at DESC, id DESC))[1]",
    Aggregation.P95: "percentile_disc(0.95) WITHIN GROUP (ORDER BY {value})",
    Aggregation.UNIQUE: "count(DISTINCT {text})",
}
# Clients put their own properties into `metadata`; a member beside it of the same name wins.
_READ = """
    SELECT id, key, quantity, occurred_at, counted_at, received_at,
        CASE WHEN jsonb_typeof(properties -> 'metadata') = 'object'
            THEN (properties -> 'metadata') || properties ELSE properties END AS properties
"""
STORED = f"{_READ} FROM billing_usageevent"
EVENTS = f"{STORED} WHERE book_id = %s AND metric_id = %s"
# Events of a list that is being decided: they count as if they were written.
UNWRITTEN = f"""
    {_READ} FROM (
        SELECT id, key, quantity, occurred_at, counted_at, received_at, stored::jsonb AS properties
        FROM unnest(
            %s::uuid[], %s::text[], %s::numeric[],
            %s::timestamptz[], %s::timestamptz[], %s::timestamptz[], %s::text[]
        ) AS given(id, key, quantity, occurred_at, counted_at, received_at, stored)
    ) AS unwritten
"""  # noqa: S608
_OPERATORS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def read_usage(*, settlement: Settlement) -> dict[str, MetricUsage]:
    """Return the usage of a sealed cycle, metric by metric."""
    return read_part(
        subscription=settlement.subscription,
        starts_at=settlement.starts_at,
        counted=Period(settlement.counted_from, settlement.counted_until),
    )


def read_part(
    *,
    subscription: Subscription,
    starts_at: datetime,
    counted: Period,
    received_by: datetime | None = None,
) -> dict[str, MetricUsage]:
    """Return the usage that counts in a period of a cycle that began at `starts_at`; with
    `received_by`, only usage received by then.

    Usage of settled cycles that arrived late is left out, unless the plan bills it as usage of
    the next cycle (docs/decisions.md#d35).
    """
    return {
        metric.code: read_metric(
            subscription=subscription,
            metric=metric,
            starts_at=starts_at,
            counted=counted,
            received_by=received_by,
        )
        for metric in catalogue.metrics_of(subscription.version)
    }


def read_metric(
    *,
    subscription: Subscription,
    metric: Metric,
    starts_at: datetime,
    counted: Period,
    received_by: datetime | None = None,
    unwritten: Sequence[UsageEvent] = (),
) -> MetricUsage:
    """Return the usage of one metric, as `read_part` does, with events not written yet."""
    is_rerated = subscription.version.late_usage == LateUsagePolicy.RERATE
    return aggregate(
        book_id=subscription.customer_id,
        metric=metric,
        starts_at=counted.starts_at,
        ends_at=counted.ends_at,
        received_by=received_by,
        occurred=Period(starts_at, counted.ends_at) if is_rerated else None,
        unwritten=unwritten,
    )


def aggregate(
    *,
    book_id: int,
    metric: Metric,
    starts_at: datetime,
    ends_at: datetime,
    received_by: datetime | None = None,
    occurred: Period | None = None,
    on_time: datetime | None = None,
    also: Sequence[datetime] = (),
    unwritten: Sequence[UsageEvent] = (),
) -> MetricUsage:
    """Aggregate the events of a metric that count in [starts_at, ends_at) by the metric's
    definition.

    With `received_by`, later arrivals are left out, and with `occurred`, events that occurred
    outside; but events that count before `on_time` were there when the period ended. Events that
    count at one of the instants `also` are added, and those of the period not written yet.
    """
    formula = formula_of(metric, received_by=received_by, occurred=occurred, on_time=on_time)
    expression, named = formula.select(metric.aggregation)
    statement = (
        f"SELECT {expression}, count(*) "  # noqa: S608
        f"FROM ({EVENTS} AND (counted_at >= %s AND counted_at < %s"
        f"{' OR counted_at = ANY(%s)' if also else ''})"
        f"{f' UNION ALL {UNWRITTEN}' if unwritten else ''}) AS event WHERE true{formula.where}"
    )
    counted: list[Any] = [starts_at, ends_at, *([list(also)] if also else [])]
    counted += as_arrays(unwritten) if unwritten else []
    parameters = [*named, book_id, metric.pk, *counted, *formula.parameters]
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        quantity, events = cursor.fetchone()
    return MetricUsage(money.to_books(Decimal(quantity)), events)


def as_arrays(events: Sequence[UsageEvent]) -> list[list[Any]]:
    """Return events not written yet as the parameters of `UNWRITTEN`."""
    return [
        [event.id for event in events],
        [event.key for event in events],
        [event.quantity for event in events],
        [event.occurred_at for event in events],
        [event.counted_at for event in events],
        [event.received_at for event in events],
        [json.dumps(event.properties) for event in events],
    ]


def values_of(metric: Metric, events: Sequence[UsageEvent]) -> dict[UUID, Decimal]:
    """Return what events not written yet add to a metric that counts or sums; none for those that
    it leaves out.
    """
    formula = formula_of(metric)
    is_count = metric.aggregation == Aggregation.COUNT
    if formula.is_plain:
        return {event.id: Decimal(1) if is_count else event.quantity for event in events}
    value, named = ("1", []) if is_count else (formula.value, formula.named)
    statement = (
        f"SELECT id, ({value})::numeric FROM ({UNWRITTEN}) AS event "  # noqa: S608
        f"WHERE true{formula.where}"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [*named, *as_arrays(events), *formula.parameters])
        return dict(cursor.fetchall())


def aggregate_windows(
    *,
    book_id: int,
    metric: Metric,
    bounds: Sequence[datetime],
    attributes: Mapping[str, str],
    by: str | None,
    at_most: int,
) -> dict[tuple[int, str | None], MetricUsage]:
    """Aggregate the events that occurred in [bounds[n], bounds[n + 1]) and have these attributes,
    by n and by the value of one more; leave out empty ones, and what goes beyond `at_most`.

    An event never counts before it occurred, so the index on `counted_at` serves here too.
    """
    formula = formula_of(metric)
    expression, named = formula.select(metric.aggregation)
    having = " AND properties @> %s::jsonb" if attributes else ""
    statement = (
        "SELECT width_bucket(occurred_at, %s::timestamptz[]) - 1, properties->>%s::text, "  # noqa: S608
        f"{expression}, count(*) "
        f"FROM ({EVENTS} AND counted_at >= %s AND occurred_at >= %s AND occurred_at < %s{having}) "
        f"AS event WHERE true{formula.where} GROUP BY 1, 2 ORDER BY 1, 2 LIMIT %s"
    )
    first, last = bounds[0], bounds[-1]
    parameters: list[Any] = [
        # As text, because there may be hundreds, and the driver looks at each.
        f"{{{','.join(map(str, bounds))}}}",
        by,
        *named,
        book_id,
        metric.pk,
        first,
        first,
        last,
        *([json.dumps(dict(attributes))] if attributes else []),
    ]
    with connection.cursor() as cursor:
        cursor.execute(statement, [*parameters, *formula.parameters, at_most])
        rows = cursor.fetchall()
    return {
        (number, value): MetricUsage(money.to_books(Decimal(quantity)), events)
        for number, value, quantity, events in rows
    }


def numbers_read(metric: Metric) -> set[str]:
    """Return the properties that a metric reads as numbers: its own and those its filters
    compare.
    """
    compared = {str(rule["property"]) for rule in metric.filters if rule["op"] in _OPERATORS}
    own = {metric.property} if metric.property and metric.aggregation not in TEXTUAL else set()
    return compared | own


@dataclass(frozen=True, slots=True)
class Formula:
    """A metric's definition in SQL: value and text of an event, and the condition for events to
    count.
    """

    value: str
    text: str
    named: list[str]
    where: str
    parameters: list[Parameter]

    @property
    def is_plain(self) -> bool:
        """Return whether every event counts, by its quantity."""
        return self.value == "quantity" and not self.where

    def select(self, aggregation: str) -> tuple[str, list[str]]:
        """Return the SQL of an aggregate of these events, with its parameters."""
        template = _AGGREGATES[Aggregation(aggregation)]
        takes = self.named if "{" in template else []
        expression = template.format(value=self.value, text=self.text)
        return f"coalesce({expression}, 0)::numeric", list(takes)


def formula_of(
    metric: Metric,
    *,
    received_by: datetime | None = None,
    occurred: Period | None = None,
    on_time: datetime | None = None,
) -> Formula:
    """Return a metric's formula; with `received_by`, without later arrivals, and with `occurred`,
    without events that occurred outside, unless they count before `on_time`.
    """
    where, parameters = _where(metric)
    if received_by is not None:
        where += " AND received_at <= %s"
        parameters.append(received_by)
    if occurred is not None:
        where += " AND occurred_at >= %s AND (occurred_at < %s OR counted_at < %s)"
        parameters += [occurred.starts_at, occurred.ends_at, on_time or occurred.ends_at]
    if not metric.property:
        return Formula("quantity", "key", [], where, parameters)
    where += " AND properties ? %s"
    parameters.append(metric.property)
    if metric.aggregation not in TEXTUAL:
        where += " AND (properties ->> %s) ~ %s"
        parameters += [metric.property, NUMERIC]
    value, text = "(properties ->> %s)::numeric", "(properties ->> %s)"
    return Formula(value, text, [metric.property], where, parameters)


def _where(metric: Metric) -> tuple[str, list[Parameter]]:
    """Return the conditions of the metric's property filters, with their parameters."""
    conditions, parameters = "", list[Parameter]()
    for rule in metric.filters:
        condition, given = _condition(rule)
        conditions += f" AND {condition}"
        parameters += given
    return conditions, parameters


def _condition(rule: Mapping[str, object]) -> tuple[str, list[Parameter]]:
    name, operator, value = str(rule["property"]), str(rule["op"]), rule.get("value")
    field = "(properties ->> %s)"
    match operator:
        case "exists":
            negation = "" if value in {None, True, "true"} else "NOT "
            return f"{negation}properties ? %s", [name]
        case "in" | "not_in":
            values = [str(item) for item in value] if isinstance(value, list) else [str(value)]
            test = f"{field} = ANY(%s)"
            return (test if operator == "in" else f"NOT coalesce({test}, false)"), [name, values]
        case "contains":
            return f"position(%s in {field}) > 0", [str(value), name]
        case "gt" | "gte" | "lt" | "lte":
            compared = f"{field}::numeric {_OPERATORS[operator]} %s::numeric"
            test = f"CASE WHEN {field} ~ %s THEN {compared} END"
            return test, [name, NUMERIC, name, str(value)]
        case "ne":
            return f"{field} IS DISTINCT FROM %s", [name, str(value)]
        case _:
            return f"{field} = %s", [name, str(value)]
