"""Daily seals: where every book's chain ended, folded into one hash, chained to the last seal.

Append-only (triggers, ENABLE ALWAYS). Each seal is written outside the database too, so that not
even its owner can rewrite history unseen.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from ledger.models.books import Book


class Seal(models.Model):
    """The state of all books of a mode at a moment: `root` is the Merkle root over their heads."""

    livemode = models.BooleanField()
    number = models.PositiveIntegerField()
    sealed_at = models.DateTimeField()
    books = models.PositiveBigIntegerField()
    entries = models.PositiveBigIntegerField()
    root = models.CharField(max_length=64)
    prev_hash = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["livemode", "number"], name="ledger_seal_number"),
            models.CheckConstraint(condition=Q(number__gt=0), name="ledger_seal_from_one"),
        ]

    def __str__(self) -> str:
        return f"#{self.number} {self.sealed_at:%Y-%m-%d}"


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
