"""Who acts in a request: a member of staff by its session, or the API key that authenticates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.http import HttpRequest, HttpResponse

from aforo import actors
from aforo.access.models import ApiKey
from aforo.actors import Actor, ActorKind

# Every page of the back office is below this; sessions count nowhere else.
_PAGES: Final = "/admin/"


class ActorMiddleware:
    """Bound an actor to its request: the user of a page; nobody in the API until a key is known."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with actors.acting(_staff(request)):
            return self.get_response(request)


def _staff(request: HttpRequest) -> Actor | None:
    if not request.path.startswith(_PAGES) or not request.user.is_authenticated:
        return None
    return Actor(ActorKind.STAFF, str(request.user.pk))


def act_by_key(key: ApiKey) -> None:
    """Set an API key as the actor of the rest of its request."""
    actors.act_as(Actor(ActorKind.API_KEY, str(key.pk)))
