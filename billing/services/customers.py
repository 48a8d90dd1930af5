"""Customers: their personal data, one to one with a book."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from django.db import transaction

from aforo.errors import FieldError, Invalid
from aforo.sandbox.services import ClockIsSandbox, get_clock
from billing.models import Customer
from ledger import services as ledger

# The addresses beside a customer's own under /v1/wallets/, and what an address cannot end in.
RESERVED = frozenset(
    {"debit", "debits", "reservations", "captures", "grants", "top-ups", "refunds", "check"}
    | {".", ".."}
)
PERSONAL = ["name", "email", "country", "region", "tax_id", "timezone", "tags"]


def _check_id(customer_id: str) -> None:
    if customer_id in RESERVED:
        detail = f"{customer_id} is an address of the API, so no customer can be called so."
        raise Invalid([FieldError("/id", "reserved_id", detail)])


def _check_zone(zone: str) -> None:
    if zone not in available_timezones():
        detail = f"There is no time zone {zone}; write one such as Europe/Madrid."
        raise Invalid([FieldError("/timezone", "unknown_timezone", detail)])


@transaction.atomic
def create_customer(
    *,
    livemode: bool,
    customer_id: str,
    name: str,
    email: str = "",
    country: str = "",
    region: str = "",
    tax_id: str = "",
    timezone: str = "UTC",
    tags: Sequence[str] = (),
    test_clock: UUID | None = None,
) -> Customer:
    """Open a customer and its book.

    Raises: BookExists, ClockIsSandbox, UnknownTestClock, Invalid.
    """
    _check_id(customer_id)
    _check_zone(timezone)
    if test_clock is not None and livemode:
        raise ClockIsSandbox("A live customer lives in real time and takes no test_clock.")
    clock = None if test_clock is None else get_clock(test_clock)
    book = ledger.open_book(livemode=livemode, key=customer_id, test_clock=clock)
    return Customer.objects.create(
        book=book,
        name=name,
        email=email,
        country=country,
        region=region,
        tax_id=tax_id,
        timezone=timezone,
        tags=list(tags),
    )


@transaction.atomic
def update_customer(*, livemode: bool, customer_id: str, changes: dict[str, object]) -> Customer:
    """Change personal data; a new time zone counts from the next period on.

    Raises: UnknownCustomer, Invalid.
    """
    customer = get_customer(livemode=livemode, customer_id=customer_id)
    if "timezone" in changes:
        _check_zone(str(changes["timezone"]))
    names = [name for name in PERSONAL if name in changes]
    for name in names:
        setattr(customer, name, changes[name])
    if names:
        customer.save(update_fields=names)
    return customer


def get_customer(*, livemode: bool, customer_id: str) -> Customer:
    """Find a customer.

    Raises: UnknownCustomer.
    """
    book = ledger.get_book(livemode=livemode, key=customer_id)
    return Customer.objects.select_related("book__test_clock").get(book=book)


def zone_of(customer: Customer) -> ZoneInfo:
    """Give the zone that decides the customer's period bounds."""
    return ZoneInfo(customer.timezone)
