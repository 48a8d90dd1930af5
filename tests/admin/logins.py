"""Clients that are logged in with some permissions and no others."""

from __future__ import annotations

from django.contrib.auth.models import Permission, User
from django.db import models
from django.test import Client

REFUSED = {403, 404, 405}


def log_in(*permissions: Permission, name: str = "clerk") -> Client:
    """Return a client logged in with these permissions and no others."""
    clerk, _ = User.objects.get_or_create(username=name, defaults={"is_staff": True})
    clerk.user_permissions.set(permissions)
    client = Client(raise_request_exception=True)
    client.force_login(clerk)
    return client


def of_model(model: type[models.Model]) -> dict[str, Permission]:
    """Return the permissions of a model, by what they allow."""
    found = Permission.objects.filter(
        content_type__app_label=model._meta.app_label,
        content_type__model=model._meta.model_name,
    )
    return {each.codename.partition("_")[0]: each for each in found}
