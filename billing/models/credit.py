"""What is owed to a customer in money, until it pays a later invoice or is paid out."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from ledger.models import Book, Entry, Posting


class CustomerCredit(models.Model):
    """A change of a customer's credit: above zero it was given, below zero used or paid out.

    Guarantees, held by the database: the row is written with the posting that it stands for, by
    whoever posts (2210 from credit notes, 2220 from overpayments), and never changed; the sum of
    an account and currency of a book never falls below zero. The entry says why.
    """

    id = models.BigAutoField(primary_key=True)
    book = models.ForeignKey(
        Book, on_delete=models.PROTECT, related_name="credit_changes", db_index=False
    )
    account = models.CharField(max_length=10)
    currency = models.CharField(max_length=3)
    amount = models.DecimalField(max_digits=38, decimal_places=12)
    entry = models.ForeignKey(Entry, on_delete=models.PROTECT, related_name="+", db_index=False)
    posting = models.ForeignKey(
        Posting, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )

    class Meta:
        verbose_name = "change of customer credit"
        verbose_name_plural = "customer credit"
        indexes = [
            models.Index(fields=["book", "account", "currency"], name="billing_credit_of_book")
        ]
        constraints = [
            models.UniqueConstraint(fields=["posting", "account"], name="billing_credit_once"),
            models.CheckConstraint(condition=~Q(amount=0), name="billing_credit_amount"),
        ]

    def __str__(self) -> str:
        return f"{self.amount.normalize():f} {self.currency}"
