"""Filters of lists: what is asked for by time lies within what can be reckoned with."""

from __future__ import annotations

from datetime import date
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django_filters import rest_framework as filters
from django_filters.fields import IsoDateTimeField

from aforo import periods
from aforo.protocol import attributes


def _check(day: date | None) -> None:
    if day is not None and not periods.in_reach(day):
        raise ValidationError(f"Write a time in {periods.REACH}.", code="out_of_range")


class _TimeField(IsoDateTimeField):
    def to_python(self, value: Any) -> Any:
        """Read a moment."""
        moment = super().to_python(value)
        _check(moment)
        return moment


class _DayField(forms.DateField):
    def to_python(self, value: Any) -> Any:
        """Read a day."""
        day = super().to_python(value)
        _check(day)
        return day


class _AttributesField(forms.CharField):
    def to_python(self, value: Any) -> Any:
        """Read attributes; none without a text."""
        text = super().to_python(value)
        try:
            return attributes.read(text) if text else None
        except ValueError as error:
            raise ValidationError(attributes.FORM, code="invalid_attributes") from error


class AttributesFilter(filters.CharFilter):
    """Rows that have these attributes: the object of a call, as JSON."""

    field_class = _AttributesField

    def filter(self, qs: QuerySet[Any], value: Any) -> QuerySet[Any]:
        """Narrow a list to what has all of them."""
        return qs.filter(**{f"{self.field_name}__contains": value}) if value else qs


class TimeFilter(filters.IsoDateTimeFilter):
    field_class = _TimeField


class DayFilter(filters.DateFilter):
    field_class = _DayField
