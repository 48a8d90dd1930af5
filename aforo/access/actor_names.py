"""The names of actors, looked up when somebody looks: the books keep ids only."""

from __future__ import annotations

from django.contrib.auth.models import User

from aforo.access.models import ApiKey
from aforo.actors import ActorKind


def name_actor(kind: str, id: str) -> str:  # noqa: A002
    """Return an actor as people know it: the key's label, the user's name, or the job's."""
    number = int(id) if id.isdecimal() else 0
    match kind:
        case ActorKind.API_KEY:
            return f"API key {ApiKey.objects.filter(pk=number).first() or id}"
        case ActorKind.STAFF:
            return str(User.objects.filter(pk=number).first() or f"user {id}")
        case ActorKind.JOB:
            return f"job {id}"
    return f"database role {id}"
