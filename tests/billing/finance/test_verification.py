"""Verification of the books: lots, and burns of cycles, are what the movements say."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command

from billing.finance import verification
from billing.models import CycleBurn
from ledger.entries.chain_verification import BadEntry
from tests import factories
from tests.factories import FEBRUARY, START, advance, meter, subscribed
from tests.ledger.seals.tampering import guards_off, sql
from wallets.models import CreditLot

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def burned() -> CycleBurn:
    """10 promo and 20 cash of 20.00 paid; 6,000 tokens at .002 are 12.00, so 2.00 of cash burn."""
    book = subscribed()
    factories.grant("cust_1", "10", "PROMO")
    factories.top_up("cust_1", "20")
    advance(book, START + timedelta(days=5))
    meter(6_000, START + timedelta(days=5))
    advance(book, FEBRUARY)
    factories.customer("cust_2")
    assert verification.verify() == verification.Proof(
        books=2, entries=4, lots=2, burns=2, documents=2
    )
    return CycleBurn.objects.get(lot__kind="CASH")


def named(burn: CycleBurn, cycle: int = 0) -> str:
    return f"burns of lot {burn.lot_id} by cycle {cycle} of subscription {burn.subscription_id}"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            "UPDATE billing_cycleburn SET quantity = 3 WHERE lot_id = '{lot}'",
            "quantity is 3.000000000000, its movements say 2.000000000000",
        ),
        (
            "UPDATE billing_cycleburn SET carrying = 0 WHERE lot_id = '{lot}'",
            "carrying is 0.000000000000, its movements say 2.000000000000",
        ),
        (
            "DELETE FROM billing_cycleburn WHERE lot_id = '{lot}'",
            "quantity is 0, its movements say 2.000000000000",
        ),
        (
            "UPDATE billing_cycleburn SET cycle = 7 WHERE lot_id = '{lot}'",
            "quantity is 0, its movements say 2.000000000000",
        ),
    ],
)
def test_what_a_cycle_burned_is_what_its_entries_moved(
    burned: CycleBurn, change: str, reason: str
) -> None:
    with guards_off("billing_cycleburn"):
        sql(change.format(lot=burned.lot_id))

    assert verification.verify().first_bad == BadEntry(named(burned), reason)
    with pytest.raises(CommandError, match="burns of lot"):
        call_command("verify_ledger")


def test_what_no_entry_burned_is_named(burned: CycleBurn) -> None:
    burned.pk, burned.cycle = None, 7
    burned.save(force_insert=True)

    reason = "quantity is 2.000000000000, its movements say 0"
    assert verification.verify().first_bad == BadEntry(named(burned, 7), reason)


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ("face", "face is 21.000000000000, its movements say 20.000000000000"),
        ("carrying", "carrying is 21.000000000000, its movements say 20.000000000000"),
    ],
)
def test_a_lot_is_what_was_granted(burned: CycleBurn, column: str, reason: str) -> None:
    with guards_off("wallets_creditlot"):
        sql(f"UPDATE wallets_creditlot SET {column} = {column} + 1 WHERE id = '{burned.lot_id}'")

    assert verification.verify().first_bad == BadEntry(f"lot {burned.lot_id}", reason)


@pytest.mark.parametrize(
    ("tables", "astray"),
    [
        (["wallets_movement"], 2),
        (["wallets_creditlot"], 2),
        (["wallets_movement", "wallets_creditlot"], 2),
    ],
)
def test_what_was_given_to_another_customer_is_named(tables: list[str], astray: int) -> None:
    """A gift carries nothing, so that no account could tell."""
    lot = CreditLot.objects.get(kind="PROMO")
    with guards_off(*tables):
        for table in tables:
            column = "lot_id" if table == "wallets_movement" else "id"
            sql(
                f"UPDATE {table} SET book_id = (SELECT id FROM ledger_book WHERE key = 'cust_2')"
                f" WHERE {column} = '{lot.id}'"
            )

    reason = f"{astray} of its movements are in another book"
    assert verification.verify().first_bad == BadEntry(f"lot {lot.id}", reason)
