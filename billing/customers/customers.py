"""Customers: their personal data, one to one with a book."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from django.db import connection, transaction

from aforo import countries
from aforo.errors import FieldError, Invalid
from aforo.sandbox.services import ClockIsSandbox, get_clock, now_for
from billing.customers import tax_ids
from billing.models import CollectionMethod, Customer
from ledger.entries import books
from wallets.budgets import budgets
from wallets.top_ups.gateway import gateway_of

# The addresses beside a customer's own under /v1/wallets/, and what an address cannot end in.
RESERVED = frozenset(
    {"debit", "debits", "reservations", "captures", "grants", "top-ups", "refunds", "check"}
    | {".", ".."}
)
PERSONAL = [
    "name", "email", "address", "country", "region", "tax_id", "timezone", "apply_credit",
    "collection_method", "payment_method", "mail_documents", "tags",
]  # fmt: skip

# What decides tax is read together.
_PLACE = frozenset({"country", "region", "tax_id"})
_CHARGED = frozenset({"collection_method", "payment_method"})

_ADDRESS_MAX = 500
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_REGION_MAX = 50


def _check_id(customer_id: str) -> None:
    if customer_id in RESERVED:
        detail = f"{customer_id} is an address of the API, so no customer can be called so."
        raise Invalid([FieldError("/id", "reserved_id", detail)])


def check_personal(**given: object) -> None:
    """Check personal data, of which any part may be passed.

    Raises: Invalid, naming each fault.
    """
    faults = [
        FieldError(f"/{name}", code, detail)
        for name, value in given.items()
        for code, detail in _faults(name, value)
    ]
    if not faults and given.get("tax_id"):
        faults = list(_tax_id_faults(str(given["tax_id"]), str(given.get("country") or "")))
    if faults:
        raise Invalid(faults)


def check_collection(*, livemode: bool, collection_method: str, payment_method: str) -> None:
    """Check that the payment method is one that the mode's gateway charges, and that there is one
    where invoices are charged.

    Raises: Invalid (`unknown_payment_method`, `required`).
    """
    gateway = gateway_of(livemode=livemode)
    is_known = gateway is not None and gateway.knows(payment_method)
    if payment_method and not is_known:
        detail = f"The payment gateway does not know {payment_method}."
        raise Invalid([FieldError("/payment_method", "unknown_payment_method", detail)])
    if collection_method == CollectionMethod.CHARGE_AUTOMATICALLY and not payment_method:
        detail = "Name the payment method that invoices are charged to."
        raise Invalid([FieldError("/payment_method", "required", detail)])


def _tax_id_faults(tax_id: str, country: str) -> Iterator[FieldError]:
    try:
        tax_ids.normalised(tax_id, countries.normalised(country))
    except tax_ids.InvalidTaxId as error:
        yield FieldError("/tax_id", "invalid_tax_id", str(error))


def _place(customer: Customer) -> None:
    """Write country, region and tax id in the one form that rates and documents know them by."""
    customer.country = countries.normalised(customer.country)
    customer.region = countries.normalised_region(customer.region, customer.country)
    customer.tax_id = tax_ids.normalised(customer.tax_id, customer.country)
    is_checked = customer.tax_id != "" and tax_ids.is_checked(customer.country)
    customer.tax_id_checked_at = now_for(customer.book) if is_checked else None


def _faults(name: str, value: object) -> Iterator[tuple[str, str]]:
    texts = value if isinstance(value, (list, tuple)) else [value]
    if name == "address":
        # The one text of several lines.
        texts = str(value).splitlines()
        if len(str(value)) > _ADDRESS_MAX:
            yield "too_long", f"At most {_ADDRESS_MAX} characters."
    if any(CONTROL.search(str(text)) for text in texts):
        yield "control_characters", "One line of text, without control characters."
    if name == "timezone" and value not in _zones():
        detail = f"There is no time zone {value}; write one such as Europe/Madrid."
        yield "unknown_timezone", detail
    if name == "country" and value:
        fault = countries.fault_of(countries.normalised(str(value)))
        yield from [("invalid", fault)] if fault else []
    if name == "region" and len(countries.normalised_region(str(value), "")) > _REGION_MAX:
        yield "max_length", f"At most {_REGION_MAX} characters."
    if name == "tags" and not all(str(tag).strip() for tag in texts):
        yield "blank", "A tag is not empty."


@cache
def _zones() -> frozenset[str]:
    """Return the time zones that both this process and the database know.

    Either may have newer time zone data than the other.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM pg_timezone_names")
        return frozenset(available_timezones() & {name for (name,) in cursor.fetchall()})


@transaction.atomic
def create_customer(
    *,
    livemode: bool,
    customer_id: str,
    name: str,
    email: str = "",
    address: str = "",
    country: str = "",
    region: str = "",
    tax_id: str = "",
    timezone: str = "UTC",
    apply_credit: bool = False,
    collection_method: str = CollectionMethod.SEND_INVOICE,
    payment_method: str = "",
    mail_documents: bool = True,
    tags: Sequence[str] = (),
    test_clock: UUID | None = None,
) -> Customer:
    """Create a customer and its book.

    Raises: BookExists, ClockIsSandbox, UnknownTestClock, Invalid.
    """
    _check_id(customer_id)
    check_personal(
        name=name,
        email=email,
        address=address,
        country=country,
        region=region,
        tax_id=tax_id,
        timezone=timezone,
        tags=tags,
    )
    check_collection(
        livemode=livemode, collection_method=collection_method, payment_method=payment_method
    )
    if test_clock is not None and livemode:
        raise ClockIsSandbox("A live customer lives in real time and takes no test_clock.")
    clock = None if test_clock is None else get_clock(test_clock)
    book = books.open_book(livemode=livemode, key=customer_id, test_clock=clock)
    customer = Customer(
        book=book,
        name=name,
        email=email,
        address=address,
        country=country,
        region=region,
        tax_id=tax_id,
        timezone=timezone,
        apply_credit=apply_credit,
        collection_method=collection_method,
        payment_method=payment_method,
        mail_documents=mail_documents,
        tags=list(tags),
    )
    _place(customer)
    customer.save(force_insert=True)
    return customer


@transaction.atomic
def update_customer(*, livemode: bool, customer_id: str, changes: dict[str, object]) -> Customer:
    """Change personal data; a new time zone counts from the next period on.

    Raises: UnknownCustomer, Invalid.
    """
    customer = get_customer(livemode=livemode, customer_id=customer_id)
    names = [name for name in PERSONAL if name in changes]
    moves = not _PLACE.isdisjoint(names)
    placed = {name: getattr(customer, name) for name in _PLACE if moves}
    check_personal(**placed | {name: changes[name] for name in names})
    for name in names:
        setattr(customer, name, changes[name])
    if not _CHARGED.isdisjoint(names):
        check_collection(livemode=livemode, **{name: getattr(customer, name) for name in _CHARGED})
    if moves:
        _place(customer)
    if names:
        written = {*_PLACE, "tax_id_checked_at"} if moves else set()
        customer.save(update_fields={*names, *written})
    if "timezone" in names:
        budgets.move_zone(book=customer.book, zone=customer.timezone)
    return customer


def get_customer(*, livemode: bool, customer_id: str) -> Customer:
    """Return a customer.

    Raises: UnknownCustomer.
    """
    book = books.get_book(livemode=livemode, key=customer_id)
    return Customer.objects.select_related("book__test_clock").get(book=book)


def zone_of(customer: Customer) -> ZoneInfo:
    """Return the time zone of the customer's period bounds."""
    return ZoneInfo(customer.timezone)
