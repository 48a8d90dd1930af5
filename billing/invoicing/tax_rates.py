"""Tax rates, effective-dated per jurisdiction."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal

from django.db import IntegrityError, transaction

from aforo.errors import Conflict, FieldError, Invalid
from billing.models import TaxRate


class RateExists(Conflict):
    """There is a rate for this country, region and moment already.

    Use another `valid_from`.
    """

    default_code = "tax_rate_exists"


def check_tax_rate(*, country: str, percent: Decimal) -> None:
    """Check the jurisdiction and the percentage of a rate.

    Raises: Invalid.
    """
    faults = []
    if not re.fullmatch(r"[A-Z]{2}", country):
        detail = "Two capitals as in ISO 3166-1, such as ES."
        faults.append(FieldError("/country", "invalid", detail))
    if not 0 <= percent <= 100:
        faults.append(FieldError("/percent", "too_large", "From 0 to 100 percent."))
    elif percent != percent.quantize(Decimal("0.000001")):
        faults.append(FieldError("/percent", "too_many_decimals", "At most 6 decimal places."))
    if faults:
        raise Invalid(faults)


def create_tax_rate(
    *,
    livemode: bool,
    name: str,
    country: str,
    percent: Decimal,
    now: datetime,
    region: str = "",
    reverse_charge: bool = False,
    valid_from: datetime | None = None,
) -> TaxRate:
    """Add a percentage for a country or one of its regions, from `valid_from` (else `now`) on.

    With `reverse_charge`, customers who have a tax id owe the tax themselves (EU VAT directive,
    article 196), so none is billed to them.

    Raises: Invalid, RateExists.
    """
    check_tax_rate(country=country, percent=percent)
    try:
        with transaction.atomic():
            return TaxRate.objects.create(
                livemode=livemode,
                name=name,
                country=country,
                region=region,
                percent=percent,
                reverse_charge=reverse_charge,
                valid_from=valid_from or now,
            )
    except IntegrityError as error:
        raise RateExists("This jurisdiction has a rate from that moment on already.") from error
