"""API keys, the keyed requests that make any POST safe to repeat, and failed logins."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Value

from aforo import actors


class ApiScope(models.TextChoices):
    CATALOG = "catalog"
    BILLING = "billing"
    WALLETS = "wallets"
    USAGE = "usage"
    LEDGER = "ledger"
    WEBHOOKS = "webhooks"
    KEYS = "keys"


class ApiKey(models.Model):
    """A secret that acts in one mode within its scopes; where its terms say so, for one customer,
    from some networks, so often, until a moment.

    Only the SHA-256 of the secret is kept: it has 256 random bits, so a slow hash adds nothing.
    """

    livemode = models.BooleanField()
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=20, help_text="The beginning of the key, to recognise it.")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = ArrayField(models.CharField(max_length=20, choices=ApiScope.choices))
    customer_id = models.CharField(
        max_length=64,
        blank=True,
        default="",
        db_default="",
        help_text="The one customer that it acts for; all, where it is empty.",
    )
    networks = ArrayField(
        models.CharField(max_length=50),
        default=list,
        db_default=Value([], output_field=ArrayField(models.CharField(max_length=50))),
        blank=True,
        help_text="Where it may call from, as 203.0.113.0/24; anywhere, where it is empty.",
    )
    requests_per_minute = models.PositiveIntegerField(
        null=True, blank=True, help_text="The server's own limit, where it is empty."
    )
    replaces = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="successors",
        help_text="The key in whose place it was issued.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}...)"


class KeptAnswer(models.Model):
    """The first answer to an operation under an idempotency key, kept for ever and replayed
    verbatim: the columns of every table of such answers (see `aforo.protocol.idempotency`).
    """

    key = models.CharField(max_length=255)
    operation = models.CharField(max_length=100, help_text="What was asked, by its stable name.")
    content = models.JSONField(help_text="What was asked, in canonical form.")
    status = models.PositiveSmallIntegerField()
    body = models.TextField()
    actor_kind = models.CharField(
        max_length=7, choices=actors.ACTOR_KINDS, default=actors.current_kind
    )
    actor_id = models.CharField(max_length=100, default=actors.current_id)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.operation} {self.key}"


class KeyedRequest(KeptAnswer):
    """The answer to a POST that carried an Idempotency-Key and belongs to no customer's book; those
    that move credits or money keep theirs in the book's own operations.
    """

    livemode = models.BooleanField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["livemode", "key"], name="access_keyedrequest_key")
        ]


class ChangeAction(models.TextChoices):
    INSERT = "INSERT", "Created"
    UPDATE = "UPDATE", "Changed"
    DELETE = "DELETE", "Deleted"


class ConfigurationChange(models.Model):
    """A row of configuration that was created, changed or deleted: by whom, and what of it.

    Guarantees, held by the database: triggers alone write it, in the transaction of the change, and
    nothing of it ever changes. Without an edge that says who acts, the actor is the database's
    role. What is secret or personal shows only that it was changed.
    """

    changed_at = models.DateTimeField(db_index=True)
    actor_kind = models.CharField(
        max_length=8, choices=[*actors.ACTOR_KINDS, ("DATABASE", "DATABASE")]
    )
    actor_id = models.CharField(max_length=100)
    request_id = models.CharField(max_length=128, blank=True)
    reason = models.TextField(blank=True)
    livemode = models.BooleanField(null=True, help_text="Empty: of both modes.")
    customer_id = models.CharField(max_length=64, blank=True)
    table_name = models.CharField(max_length=63)
    row_id = models.CharField(max_length=64)
    label = models.CharField(max_length=300, blank=True)
    action = models.CharField(max_length=6, choices=ChangeAction.choices)
    old = models.JSONField(default=dict)
    new = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(action__in=ChangeAction.values),
                name="access_configurationchange_action",
            )
        ]

    def __str__(self) -> str:
        return f"{self.table_name} {self.label or self.row_id}"


class LoginFailures(models.Model):
    """Failed logins in a row under one user name, of which only the SHA-256 is kept."""

    name_digest = models.CharField(max_length=64, primary_key=True)
    failures = models.PositiveIntegerField()
    last_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name_plural = "login failures"

    def __str__(self) -> str:
        return f"{self.failures} until {self.last_at:%Y-%m-%d %H:%M}"
