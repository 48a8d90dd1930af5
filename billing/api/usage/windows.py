"""`GET /v1/usage`: a customer's usage, by metric and window."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from aforo.access.models import ApiScope
from aforo.api.fields import AttributesQueryField, DecimalField, StrictSerializer, TimeField
from aforo.api.views import ApiView
from aforo.protocol import attributes
from aforo.protocol.exact_json import timestamp
from billing.usage.windows import read_windows


class GroupField(serializers.CharField):
    """`hour` or `day` of the customer's zone, an attribute, or both: `day,attributes.team`."""

    default_error_messages = {
        "invalid_choice": "Write hour or day, attributes.NAME, or both with a comma between."
    }

    def to_internal_value(self, data: Any) -> Any:
        """Return the time and the attribute to group by."""
        given = super().to_internal_value(data).split(",")
        times = [each for each in given if each in {"hour", "day"}]
        named = [found[1] for each in given if (found := attributes.GROUPED.fullmatch(each))]
        if len(times) + len(named) < len(given) or len(times) > 1 or len(named) > 1:
            self.fail("invalid_choice")
        return {"group_by": next(iter(times), None), "by": next(iter(named), None)}


class UsageQuery(StrictSerializer):
    """Half open: from is included, to is not."""

    customer_id = serializers.CharField(max_length=64)
    metric = serializers.CharField(max_length=255, required=False)
    # `from` is a reserved word in Python, so it cannot be assigned like the others.
    vars()["from"] = TimeField(required=False)
    to = TimeField(required=False)
    group_by = GroupField(max_length=64, required=False)
    attributes = AttributesQueryField(max_length=attributes.LONGEST_TEXT, required=False)


class UsageWindow(serializers.Serializer[Any]):
    metric = serializers.CharField()
    vars()["from"] = serializers.DateTimeField()
    to = serializers.DateTimeField()
    value = serializers.CharField(
        required=False, allow_null=True, help_text="Of the attribute that is grouped by."
    )
    quantity = DecimalField()
    events = serializers.IntegerField()


class UsageAnswer(serializers.Serializer[Any]):
    data = UsageWindow(many=True)  # type: ignore[assignment]
    next = serializers.URLField(allow_null=True)


class UsageView(ApiView):
    scope = ApiScope.USAGE
    names = {"get": "aggregateUsage"}
    refusals = ("unknown_customer",)
    query = UsageQuery

    @extend_schema(parameters=[UsageQuery], responses=UsageAnswer)
    def get(self, request: Request) -> Response:
        """Aggregate metered usage by each metric's definition, by the time at which it occurred.

        The last 30 days without `from` and `to`. Windows without usage are left out; `next` goes
        on where an answer would hold more than 1,000 rows.
        """
        given = self.asked(request)
        grouped = given.pop("group_by", {})
        found = read_windows(
            livemode=self.livemode,
            starts_at=given.pop("from", None),
            ends_at=given.pop("to", None),
            **grouped,
            **given,
        )
        is_by_value = grouped.get("by") is not None
        here = request.build_absolute_uri()
        rest = found.go_on_at and replace_query_param(here, "from", timestamp(found.go_on_at))
        return Response(
            {
                "data": [
                    {
                        "metric": row.metric,
                        "from": row.starts_at,
                        "to": row.ends_at,
                        **({"value": row.value} if is_by_value else {}),
                        "quantity": row.quantity,
                        "events": row.events,
                    }
                    for row in found.rows
                ],
                "next": rest,
            }
        )
