"""What the lists and bodies of the catalogue share."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from rest_framework import serializers

from aforo.access.models import ApiScope
from aforo.api.rows import RowsView
from pricing.plans.codes import CODE_PATTERN


class CodeField(serializers.RegexField):
    """A code that fits into an address."""

    def __init__(self, max_length: int = 64, **kwargs: Any) -> None:
        super().__init__(CODE_PATTERN, max_length=max_length, **kwargs)


class VersionField(serializers.IntegerField):
    """The number of a version."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=1, max_value=2_147_483_647, **kwargs)


class CatalogList(RowsView[Any]):
    """A list of the catalogue, newest first."""

    scope = ApiScope.CATALOG
    model: ClassVar[Any] = None

    def get_queryset(self) -> QuerySet[Any]:
        """Return what the mode of the key may see."""
        queryset: QuerySet[Any] = self.model.objects.filter(livemode=self.livemode)
        return queryset
