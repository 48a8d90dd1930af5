"""Who gets in, in the back office: accounts and their groups.

What somebody may do is decided by superusers only.
"""

from __future__ import annotations

from typing import Any, Final

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, Group, User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from aforo.access import login_limits
from aforo.access.actor_names import name_actor
from aforo.access.changes import readable
from aforo.access.models import ConfigurationChange, KeyedRequest
from aforo.adminui.admins import ReadOnlyAdmin, ThemedAdmin
from aforo.adminui.pages import action

for model in (User, Group):
    admin.site.unregister(model)

# Who may change accounts but is no superuser may correct these.
PERSONAL: Final = ("first_name", "last_name", "email")


@admin.register(KeyedRequest)
class KeyedRequestAdmin(ReadOnlyAdmin):
    list_display = [
        "operation", "key", "livemode", "status", "actor_kind", "actor_id", "created_at",
    ]  # fmt: skip
    list_filter = ["livemode", "operation"]
    search_fields = ["key"]
    ordering = ["-created_at"]


@admin.register(ConfigurationChange)
class ConfigurationChangeAdmin(ReadOnlyAdmin):
    """The audit trail; the report of the same name has it by months."""

    when_empty = "The database writes each change of prices, rates, limits, keys and roles here."
    list_display = ["changed_at", "who", "table_name", "label", "action", "before", "after"]
    list_filter = ["livemode", "table_name", "action", "actor_kind"]
    search_fields = ["label", "=row_id", "=actor_id", "=customer_id", "=request_id"]
    fields = [
        "changed_at", "who", "request_id", "reason", "livemode", "customer_id", "table_name",
        "row_id", "label", "action", "before", "after",
    ]  # fmt: skip
    readonly_fields = ["who", "before", "after"]
    ordering = ["-id"]

    @admin.display(description="Actor", ordering="actor_id")
    def who(self, change: ConfigurationChange) -> str:
        """Return the actor as people know it."""
        return name_actor(change.actor_kind, change.actor_id)

    @admin.display(description="Old")
    def before(self, change: ConfigurationChange) -> str:
        """Return what was there."""
        return readable(change.old)

    @admin.display(description="New")
    def after(self, change: ConfigurationChange) -> str:
        """Return what is there since."""
        return readable(change.new)


def _is_superuser(user: AbstractBaseUser | AnonymousUser) -> bool:
    return isinstance(user, User) and user.is_active and user.is_superuser


@admin.register(User)
class ThemedUserAdmin(UserAdmin, ThemedAdmin):  # type: ignore[misc,type-arg]
    """Accounts. A name, a password or a permission in the wrong hands is another pair of eyes, so
    only superusers create, change and end them; others correct personal data.
    """

    actions = ["let_in"]

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Return the fieldsets, with the password only for those who may change it."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or _is_superuser(request.user):
            return fieldsets
        return [(None, {"fields": ("username",)}), *fieldsets[1:]]

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Return all fields but personal data for everybody who is no superuser."""
        if _is_superuser(request.user):
            return super().get_readonly_fields(request, obj)
        fieldsets = UserAdmin.fieldsets or ()
        fields = [str(name) for _, group in fieldsets for name in group["fields"]]
        return [name for name in fields if name not in {*PERSONAL, "password"}]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return whether the user is a superuser."""
        return _is_superuser(request.user)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Return whether the user may edit this account; a superuser's only superusers may."""
        allowed = super().has_change_permission(request, obj)
        return allowed and (obj is None or not obj.is_superuser or _is_superuser(request.user))

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Return whether the user is a superuser; what an account decided protects it."""
        return _is_superuser(request.user)

    def has_act_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        """Return whether the user is a superuser."""
        return _is_superuser(request.user)

    def user_change_password(
        self,
        request: HttpRequest,
        id: str,  # noqa: A002
        form_url: str = "",
    ) -> HttpResponse:
        """Render the page on which superusers set passwords; everybody has a page for their own."""
        if not _is_superuser(request.user):
            raise PermissionDenied
        return super().user_change_password(request, id, form_url)

    @action(description="Let in again who failed to log in too often")
    def let_in(self, request: HttpRequest, users: QuerySet[User]) -> None:
        """Forget the failed logins of each chosen account."""
        for user in users:
            login_limits.forget_failures(username=user.get_username())
        self.message_user(request, f"{len(users)} may log in at once.", messages.SUCCESS)


@admin.register(Group)
class ThemedGroupAdmin(GroupAdmin, ThemedAdmin):  # type: ignore[misc]
    """Groups carry permissions, so only superusers create, change and delete them."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _is_superuser(request.user)

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return _is_superuser(request.user)

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return _is_superuser(request.user)
