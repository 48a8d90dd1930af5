"""Whatever moves credits is in the book of its entry, its lot and its reservation."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, models, transaction

from aforo.ids import new_id
from billing.finance import verification
from ledger.entries.chain_verification import BadEntry
from ledger.models import Book
from tests import factories
from tests.ledger.seals.tampering import guards_off, sql
from tests.wallets import actions
from wallets.models import CreditLot, Debit, Hold, Movement, Reservation

pytestmark = pytest.mark.django_db

MODELS = [Movement, Debit, Reservation, Hold]


@pytest.fixture(autouse=True)
def other() -> Book:
    """A customer of 10 who spent 1 and reserved 2, beside one with a lot and nothing else."""
    factories.customer()
    factories.top_up("cust_1", "10")
    factories.debit("cust_1", "1")
    actions.held("2")
    book = factories.customer("cust_2")
    factories.top_up("cust_2", "10")
    assert verification.verify().ok
    return book


@pytest.mark.parametrize(
    ("model", "of", "changed"),
    [
        (Movement, "entry", {}),
        (Debit, "entry", {}),
        (Reservation, "entry", {}),
        (Hold, "lot", {}),
        # The book is the lot's then, but not the other's.
        (Movement, "entry", {"lot": True}),
        (Hold, "reservation", {"lot": True}),
    ],
)
def test_a_row_in_another_book_is_refused(
    other: Book, model: type[models.Model], of: str, changed: dict[str, bool]
) -> None:
    before = factories.everything()
    row = model._default_manager.filter(book__key="cust_1").latest("pk")
    row.pk = new_id()
    for name in {"book", *changed}:
        setattr(row, name, other if name == "book" else CreditLot.objects.get(book=other))

    with pytest.raises(IntegrityError, match=f"book of its {of}"), transaction.atomic():
        row.save(force_insert=True)

    assert factories.everything() == before


@pytest.mark.parametrize("model", [Debit, Reservation, Hold])
def test_a_row_that_was_moved_to_another_book_is_named(
    other: Book, model: type[models.Model]
) -> None:
    row = model._default_manager.get()
    with guards_off("wallets_debit", "wallets_reservation", "wallets_hold"):
        sql(f"UPDATE {model._meta.db_table} SET book_id = {other.pk}")

    found = verification.verify().first_bad

    reason = "it is in another book than what it belongs to"
    assert found == BadEntry(f"{model._meta.model_name} {row.pk}", reason)
