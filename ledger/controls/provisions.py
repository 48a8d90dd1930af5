"""Which provision matrix is in force for a customer and currency on a day
(docs/decisions.md#d600).
"""

from __future__ import annotations

from datetime import date

from ledger.models import ProvisionMatrix

Matrices = dict[tuple[int | None, str], ProvisionMatrix]


def in_force(*, livemode: bool, on: date) -> Matrices:
    """Return the matrices in force on a day, by book (None: every customer) and currency (empty:
    every one).
    """
    approved = ProvisionMatrix.objects.filter(
        livemode=livemode, starts_on__lte=on, approved_at__isnull=False
    ).select_related("book", "proposed_by", "approved_by")
    # Of the same customer and currency, the last one stays.
    by_start = approved.order_by("starts_on", "approved_at", "pk")
    return {(matrix.book_id, matrix.currency): matrix for matrix in by_start}


def of_customer(matrices: Matrices, *, book_id: int, currency: str) -> ProvisionMatrix | None:
    """Return the matrix of a customer and currency: its own, else that of the currency, else that
    of all.
    """
    keys = [(book_id, currency), (book_id, ""), (None, currency), (None, "")]
    return next((matrices[key] for key in keys if key in matrices), None)
