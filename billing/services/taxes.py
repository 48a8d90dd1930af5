"""Tax rates, effective-dated per jurisdiction."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.db import IntegrityError, transaction

from aforo.errors import Conflict, FieldError, Invalid
from billing.models import TaxRate


class RateExists(Conflict):
    default_code = "tax_rate_exists"


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

    Raises: Invalid above 100 %, RateExists.
    """
    if percent > 100:
        raise Invalid([FieldError("/percent", "too_large", "At most 100 percent.")])
    if percent != percent.quantize(Decimal("0.000001")):
        raise Invalid([FieldError("/percent", "too_many_decimals", "At most 6 decimal places.")])
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
