"""Pauses of dunning: a customer is not reminded until a moment, for a reason that is kept."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db import transaction

from aforo.errors import FieldError, Invalid, NotFound
from aforo.sandbox.services import now_for
from billing.models import DunningPause
from ledger.entries import books
from ledger.models import Book


class NotPaused(NotFound):
    """Dunning of the customer is not paused.

    There is nothing to do.
    """

    default_code = "dunning_not_paused"


@transaction.atomic
def pause(*, livemode: bool, customer_id: str, until: datetime, reason: str) -> DunningPause:
    """Pause the dunning of a customer, also over an earlier pause; what falls due meanwhile is done
    when it is over.

    Raises: UnknownCustomer; Invalid, where the moment is over.
    """
    book = books.lock_book(book_id=books.get_book(livemode=livemode, key=customer_id).pk)
    if until <= now_for(book):
        raise Invalid([FieldError("/until", "in_the_past", "It must lie ahead.")])
    return DunningPause.objects.create(customer_id=book.pk, until=until, reason=reason)


@transaction.atomic
def resume(*, livemode: bool, customer_id: str, reason: str = "") -> None:
    """End the pause of a customer's dunning now.

    Raises: UnknownCustomer, NotPaused.
    """
    book = books.lock_book(book_id=books.get_book(livemode=livemode, key=customer_id).pk)
    if in_force([book.pk]).get(book.pk) is None:
        raise NotPaused("Dunning is not paused.")
    DunningPause.objects.create(customer_id=book.pk, until=None, reason=reason)


def in_force(book_ids: Collection[int]) -> dict[int, DunningPause]:
    """Return the newest pause of each customer that has one with an end."""
    newest = DunningPause.objects.filter(customer__in=book_ids)
    rows = newest.order_by("customer", "-pk").distinct("customer")
    return {row.customer_id: row for row in rows if row.until is not None}


def current(book: Book) -> DunningPause | None:
    """Return the pause that a customer is in now."""
    pause = in_force([book.pk]).get(book.pk)
    is_over = pause is None or pause.until is None or pause.until <= now_for(book)
    return None if is_over else pause
