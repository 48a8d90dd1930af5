"""Packs: offered, changed by new versions, archived, and found by who buys one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, transaction

from aforo import money
from aforo.errors import FieldError, Invalid, NotFound
from pricing.models import CreditUnit, Pack
from pricing.offerings import credit_units
from pricing.plans.codes import CodeTaken, can_exist

TERMS = (
    "name", "quantity", "bonus_quantity", "prices", "expires_after_days", "available_from",
    "available_until", "max_per_customer",
)  # fmt: skip


class UnknownPack(NotFound):
    """No pack of the key's mode has this code, or it is archived.

    Take the code from GET /v1/packs.
    """

    default_code = "unknown_pack"


def create_pack(*, livemode: bool, code: str, unit: str, **terms: Any) -> Pack:
    """Create a pack: so many credits of a unit, at a price in each currency.

    Raises: CodeTaken; Invalid, naming every fault.
    """
    found = credit_units.find_active_unit(livemode=livemode, code=unit, pointer="/unit")
    return _write(Pack(livemode=livemode, code=code, unit=found, **terms))


def change_pack(*, livemode: bool, code: str, changes: Mapping[str, Any]) -> Pack:
    """Create a new version of a pack in place of the current one; what was sold keeps its own.

    Raises: UnknownPack; CodeTaken, where somebody else was quicker; Invalid, naming every fault.
    """
    current = get_pack(livemode=livemode, code=code)
    terms = {name: changes.get(name, getattr(current, name)) for name in TERMS}
    fixed = {"livemode": livemode, "code": code, "unit": current.unit}
    return _write(Pack(version=current.version + 1, **fixed, **terms))


@transaction.atomic
def archive_pack(*, livemode: bool, code: str, now: datetime) -> Pack:
    """Archive a pack, which is sold no more; its code stays taken.

    Raises: UnknownPack.
    """
    current = get_pack(livemode=livemode, code=code)
    versions = Pack.objects.filter(livemode=livemode, code=code, archived_at=None)
    versions.update(archived_at=now)
    current.archived_at = now
    return current


def get_pack(*, livemode: bool, code: str) -> Pack:
    """Return the version of a pack that is offered.

    Raises: UnknownPack.
    """
    found = Pack.objects.filter(livemode=livemode, code=code) if can_exist(code) else None
    newest = None if found is None else found.select_related("unit").order_by("-version").first()
    if newest is None or newest.archived_at is not None:
        raise UnknownPack(f"There is no pack {code}.")
    return newest


def find_pack(*, livemode: bool, code: str, currency: str, now: datetime) -> Pack:
    """Return the pack that an order names, if it is sold in a currency now.

    Raises: Invalid (`unknown_pack`, `inactive_unit`, `not_available`, `no_price` naming the
    currencies there are).
    """
    try:
        pack = get_pack(livemode=livemode, code=code)
    except UnknownPack as error:
        detail = f"There is no pack {code}."
        raise Invalid([FieldError("/pack", "unknown_pack", detail)]) from error
    if not pack.unit.active:
        detail = f"No new credits of {pack.unit.code} are made: the unit is inactive."
        raise Invalid([FieldError("/pack", "inactive_unit", detail)])
    if not is_available(pack, now):
        raise Invalid([FieldError("/pack", "not_available", f"{code} is not sold now.")])
    if currency not in pack.costs:
        detail = f"{code} has no price in {currency}. There are prices in {', '.join(pack.costs)}."
        raise Invalid([FieldError("/currency", "no_price", detail)])
    return pack


def is_available(pack: Pack, now: datetime) -> bool:
    """Return whether a pack is sold at a moment: [available_from, available_until)."""
    begun = pack.available_from is None or pack.available_from <= now
    return begun and (pack.available_until is None or now < pack.available_until)


def offered(units: Iterable[CreditUnit]) -> list[Pack]:
    """Return the current packs of units that anybody may buy, whenever; those that a customer may
    buy so often only are left out.
    """
    ids = [unit.pk for unit in units]
    if not ids:
        return []
    found = Pack.objects.filter(unit__in=ids, archived_at=None).order_by("code", "version")
    newest = {(pack.livemode, pack.code): pack for pack in found}
    return [pack for pack in newest.values() if pack.max_per_customer is None]


def check_pack(pack: Pack) -> None:
    """Check the terms of a pack, whose prices have to be payable.

    Raises: Invalid, naming every fault.
    """
    faults = []
    for name in ("quantity", "bonus_quantity"):
        value = getattr(pack, name)
        if value is not None and not 0 < value < money.BOOKS_LIMIT:
            faults.append(FieldError(f"/{name}", "not_positive", "Above zero."))
        elif value is not None and money.floor(value, pack.unit.decimals) != value:
            detail = f"{pack.unit.code} has {pack.unit.decimals} decimals."
            faults.append(FieldError(f"/{name}", "too_many_decimals", detail))
    faults += _price_faults(pack.prices)
    begins, ends = pack.available_from, pack.available_until
    if begins is not None and ends is not None and ends <= begins:
        faults.append(FieldError("/available_until", "invalid", "It ends after it begins."))
    for name in ("expires_after_days", "max_per_customer"):
        if getattr(pack, name) == 0:
            faults.append(FieldError(f"/{name}", "too_small", "At least 1, or nothing."))
    if faults:
        raise Invalid(faults)


def _price_faults(prices: object) -> list[FieldError]:
    faults = credit_units.rate_faults(prices, "prices")
    if not faults and isinstance(prices, Mapping):
        faults = [
            FieldError(f"/prices/{currency}", "not_payable", f"It cannot be paid in {currency}.")
            for currency, price in prices.items()
            if not money.is_payable(Decimal(str(price)), currency)
        ]
    if not faults and not prices:
        faults = [FieldError("/prices", "required", "Name a price in one currency at least.")]
    return faults


def _write(pack: Pack) -> Pack:
    pack.prices = credit_units.written(pack.prices)
    check_pack(pack)
    try:
        with transaction.atomic():
            pack.save(force_insert=True)
    except IntegrityError as error:
        raise CodeTaken(f"There is a pack {pack.code} already.") from error
    return pack
