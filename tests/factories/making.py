"""How a factory of factory-boy makes its object: by the service that makes it in production."""

from __future__ import annotations

from typing import Any, TypeVar

from factory.base import Factory

T = TypeVar("T")


class ServiceFactory(Factory[T]):
    """A factory whose `_create` calls a service, never the ORM; its fields are the arguments."""

    class Meta:
        abstract = True

    @classmethod
    def make(cls: type[ServiceFactory[T]], **fields: Any) -> T:
        """Create the object, with its type, which factory-boy does not know."""
        made: T = cls(**fields)  # type: ignore[assignment]
        return made
