"""Tax rates, effective-dated, by jurisdiction and product class: added, and ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from aforo import countries
from aforo.errors import Conflict, FieldError, Invalid, NotFound
from billing.models import TaxRate
from ledger import approvals
from ledger.approvals import Asked
from ledger.models import ApprovalAction, ApprovalRequest

ADD = "billing.tax_rates.create"
END = "billing.tax_rates.end"
_REGION_MAX = 50


class RateExists(Conflict):
    """There is a rate for this country, region, product class and moment already.

    Use another `valid_from`, or end that rate where it begins.
    """

    default_code = "tax_rate_exists"


class UnknownTaxRate(NotFound):
    """No tax rate of the key's mode has this id.

    Take it from GET /v1/tax-rates.
    """

    default_code = "unknown_tax_rate"


class RateEnded(Conflict):
    """The rate has ended already, and what was taxed by it stays as it is.

    Add another rate, from a moment that is still to come.
    """

    default_code = "tax_rate_ended"


@dataclass(frozen=True, slots=True)
class Jurisdiction:
    """Where a rate applies, its codes in capitals, and to which class of products; empty for
    all.
    """

    country: str
    region: str = ""
    product_class: str = ""

    @classmethod
    def of(cls, country: str, region: str = "", product_class: str = "") -> Jurisdiction:
        """Return a jurisdiction as it was written, in the one form that it is kept in."""
        code = countries.normalised(country)
        return cls(code, countries.normalised_region(region, code), product_class.strip().lower())


def check_tax_rate(
    *, country: str, percent: Decimal, region: str = "", adds_to_country: bool = False
) -> None:
    """Check the jurisdiction and the percentage of a rate.

    Raises: Invalid.
    """
    where = Jurisdiction.of(country, region)
    if faults := list(_faults(where, percent, adds_to_country=adds_to_country)):
        raise Invalid(faults)


def _faults(
    where: Jurisdiction, percent: Decimal, *, adds_to_country: bool
) -> Iterator[FieldError]:
    if detail := countries.fault_of(where.country):
        yield FieldError("/country", "invalid", detail)
    if len(where.region) > _REGION_MAX:
        yield FieldError("/region", "max_length", f"At most {_REGION_MAX} characters.")
    if adds_to_country and not where.region:
        detail = "Only the rate of a region adds to its country's: name the region."
        yield FieldError("/region", "required", detail)
    if not 0 <= percent <= 100:
        yield FieldError("/percent", "too_large", "From 0 to 100 percent.")
    elif percent != percent.quantize(Decimal("0.000001")):
        yield FieldError("/percent", "too_many_decimals", "At most 6 decimal places.")


@transaction.atomic
def ask_for_tax_rate(*, livemode: bool, now: datetime, **said: Any) -> TaxRate | ApprovalRequest:
    """Add a rate as `create_tax_rate` does, or let it wait for a second person where the company
    has decided so.

    Raises: Invalid, RateExists.
    """
    names = ("country", "region", "percent", "adds_to_country")
    check_tax_rate(**{name: said[name] for name in names if name in said})
    waits = approvals.ask(Asked(ApprovalAction.TAX_RATE, ADD, said, livemode, now))
    return waits or create_tax_rate(livemode=livemode, now=now, **said)


@transaction.atomic
def ask_for_end(
    *, livemode: bool, rate_id: int, now: datetime, valid_until: datetime | None = None
) -> TaxRate | ApprovalRequest:
    """End a rate as `end_tax_rate` does, or let it wait for a second person where the company has
    decided so.

    Raises: UnknownTaxRate, RateEnded, Invalid.
    """
    get_tax_rate(livemode=livemode, rate_id=rate_id)
    said = {"rate_id": rate_id, "valid_until": valid_until}
    waits = approvals.ask(Asked(ApprovalAction.TAX_RATE, END, said, livemode, now))
    return waits or end_tax_rate(
        livemode=livemode, now=now, rate_id=rate_id, valid_until=valid_until
    )


def create_tax_rate(
    *,
    livemode: bool,
    name: str,
    country: str,
    percent: Decimal,
    now: datetime,
    region: str = "",
    product_class: str = "",
    adds_to_country: bool = False,
    reverse_charge: bool | None = None,
    valid_from: datetime | None = None,
) -> TaxRate:
    """Add a percentage for a country or one of its regions, from `valid_from` (else `now`) on, for
    one class of products or for all.

    A region's rate replaces its country's, unless it `adds_to_country`: then both are due, each
    rounded by itself. With `reverse_charge`, customers who have a tax id owe the tax themselves (EU
    VAT directive, article 196), so none is billed to them; left out, it is so where the seller
    (ENTITY_COUNTRY) is in another member state.

    Raises: Invalid, RateExists.
    """
    check_tax_rate(country=country, region=region, percent=percent, adds_to_country=adds_to_country)
    where = Jurisdiction.of(country, region, product_class)
    try:
        with transaction.atomic():
            return TaxRate.objects.create(
                livemode=livemode,
                name=name,
                country=where.country,
                region=where.region,
                product_class=where.product_class,
                percent=percent,
                adds_to_country=adds_to_country,
                reverse_charge=(
                    _is_intra_community(where.country) if reverse_charge is None else reverse_charge
                ),
                valid_from=valid_from or now,
            )
    except IntegrityError as error:
        raise RateExists("This jurisdiction has a rate from that moment on already.") from error


def _is_intra_community(country: str) -> bool:
    """Return whether sales to a country go from one member state of the EU to another."""
    seller = settings.ENTITY_COUNTRY
    return seller != country and {seller, country} <= countries.EU


@transaction.atomic
def end_tax_rate(
    *, livemode: bool, rate_id: int, now: datetime, valid_until: datetime | None = None
) -> TaxRate:
    """End a rate at `valid_until` (else `now`, or where it begins if that is later): from that
    instant on it is not in force. The database refuses every other change of a rate.

    What is past stays taxed as it was, so a live rate ends now at the earliest; the sandbox has
    clocks of its own.

    Raises: UnknownTaxRate, RateEnded, Invalid (`before_start`, `in_the_past`).
    """
    rate = get_tax_rate(livemode=livemode, rate_id=rate_id)
    until = valid_until or max(now, rate.valid_from)
    if livemode and rate.valid_until is not None and rate.valid_until <= now:
        raise RateEnded(f"{rate.name} has ended already.")
    if until < rate.valid_from:
        detail = f"It begins at {rate.valid_from.isoformat()}."
        raise Invalid([FieldError("/valid_until", "before_start", detail)])
    if livemode and until < now:
        detail = "What is past stays taxed as it was: it can end now."
        raise Invalid([FieldError("/valid_until", "in_the_past", detail)])
    rate.valid_until = until
    rate.save(update_fields=["valid_until"])
    return rate


def get_tax_rate(*, livemode: bool, rate_id: int) -> TaxRate:
    """Return a rate.

    Raises: UnknownTaxRate.
    """
    found = TaxRate.objects.filter(livemode=livemode, pk=rate_id).first()
    if found is None:
        raise UnknownTaxRate(f"There is no tax rate {rate_id}.")
    return found
