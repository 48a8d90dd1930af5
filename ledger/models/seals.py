"""Daily seals: where every book's chain ended, folded into one hash, chained to the last seal.

Append-only (triggers, ENABLE ALWAYS). Each seal is written outside the database too, so that not
even its owner can rewrite history unseen.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from ledger.models.books import Book


class Seal(models.Model):
    """The state of all books of a mode at a moment: `root` is the Merkle root over their heads.

    Guarantees, held by the database: a mode has one seal a number and one daily seal a day, and no
    two follow the same one. `lost` names the seals before it that a restore of the database has
    lost, each with the hash of the copy that is kept outside.
    """

    livemode = models.BooleanField()
    number = models.PositiveIntegerField()
    sealed_at = models.DateTimeField()
    books = models.PositiveBigIntegerField()
    entries = models.PositiveBigIntegerField()
    root = models.CharField(max_length=64)
    prev_hash = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64)
    daily_on = models.DateField(
        null=True, blank=True, help_text="The day that it seals; none at the close of a month."
    )
    lost = models.JSONField(
        default=list, blank=True, help_text="[{number, hash}] of seals lost by a restore."
    )
    reason = models.TextField(blank=True, help_text="Why it goes on after lost seals.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["livemode", "number"], name="ledger_seal_number"),
            models.UniqueConstraint(fields=["livemode", "prev_hash"], name="ledger_seal_follows"),
            models.UniqueConstraint(fields=["livemode", "daily_on"], name="ledger_seal_daily"),
            models.CheckConstraint(condition=Q(number__gt=0), name="ledger_seal_from_one"),
        ]

    def __str__(self) -> str:
        return f"#{self.number} {self.sealed_at:%Y-%m-%d}"


class SealCopy(models.Model):
    """That the copy of a seal is kept outside the database: no other seal follows before."""

    livemode = models.BooleanField()
    number = models.PositiveIntegerField()
    kept_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "seal copies"
        constraints = [
            models.UniqueConstraint(fields=["livemode", "number"], name="ledger_sealcopy_once"),
        ]

    def __str__(self) -> str:
        return f"#{self.number}"


class SealedHead(models.Model):
    """Where a book's chain ended; written by the seals at which it had moved since the last."""

    seal = models.ForeignKey(Seal, on_delete=models.PROTECT, related_name="heads", db_index=False)
    # No constraint: a seal would wait for whoever has locked any of the books that moved.
    book = models.ForeignKey(
        Book, on_delete=models.PROTECT, related_name="sealed_heads", db_constraint=False
    )
    sequence = models.BigIntegerField()
    hash = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["seal", "book"], name="ledger_sealedhead_once"),
            models.UniqueConstraint(fields=["book", "sequence"], name="ledger_sealedhead_moved"),
        ]

    def __str__(self) -> str:
        return f"{self.book_id}#{self.sequence}"
