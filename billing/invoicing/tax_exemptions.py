"""Certificates of exemption: kept as rows, ended, never changed."""

from __future__ import annotations

from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from aforo import countries
from aforo.errors import Conflict, FieldError, Invalid, NotFound
from billing.customers.customers import get_customer
from billing.invoicing.tax_rates import Jurisdiction
from billing.models import TaxExemption


class ExemptionExists(Conflict):
    """The customer has a certificate with this number for this jurisdiction already.

    End that one, or send the number of the new certificate.
    """

    default_code = "tax_exemption_exists"


class UnknownExemption(NotFound):
    """The customer has no certificate of exemption with this id.

    Take it from GET /v1/customers/{customer_id}/tax-exemptions.
    """

    default_code = "unknown_tax_exemption"


def add_exemption(
    *,
    livemode: bool,
    customer_id: str,
    number: str,
    now: datetime,
    country: str | None = None,
    region: str = "",
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
) -> TaxExemption:
    """Add a certificate by which a customer owes no tax in a country (else its own), or in one of
    its regions alone, from `valid_from` (else `now`) until `valid_until`.

    Raises: UnknownCustomer, Invalid, ExemptionExists.
    """
    customer = get_customer(livemode=livemode, customer_id=customer_id)
    where = Jurisdiction.of(country or customer.country, region)
    begins = valid_from or now
    if detail := countries.fault_of(where.country):
        raise Invalid([FieldError("/country", "invalid", detail)])
    if valid_until is not None and valid_until <= begins:
        detail = f"It begins at {begins.isoformat()}."
        raise Invalid([FieldError("/valid_until", "before_start", detail)])
    try:
        with transaction.atomic():
            return TaxExemption.objects.create(
                customer=customer,
                number=number,
                country=where.country,
                region=where.region,
                valid_from=begins,
                valid_until=valid_until,
            )
    except IntegrityError as error:
        raise ExemptionExists(f"The certificate {number} is there already.") from error


@transaction.atomic
def end_exemption(
    *,
    livemode: bool,
    customer_id: str,
    exemption_id: int,
    now: datetime,
    valid_until: datetime | None = None,
) -> TaxExemption:
    """End a certificate at `valid_until`, else now; a live one now at the earliest, because what is
    past stays taxed as it was.

    Raises: UnknownCustomer, UnknownExemption, Invalid (`before_start`, `in_the_past`).
    """
    found = exemptions_of(livemode=livemode, customer_id=customer_id).filter(pk=exemption_id)
    exemption = found.first()
    if exemption is None:
        raise UnknownExemption(f"There is no certificate {exemption_id}.")
    until = valid_until or max(now, exemption.valid_from)
    if until < exemption.valid_from:
        detail = f"It begins at {exemption.valid_from.isoformat()}."
        raise Invalid([FieldError("/valid_until", "before_start", detail)])
    before = exemption.valid_until
    if livemode and (until < now or (before is not None and before < now)):
        detail = "What is past stays taxed as it was."
        raise Invalid([FieldError("/valid_until", "in_the_past", detail)])
    exemption.valid_until = until
    exemption.save(update_fields=["valid_until"])
    return exemption


def exemptions_of(*, livemode: bool, customer_id: str) -> QuerySet[TaxExemption]:
    """Return a customer's certificates, those that have ended too.

    Raises: UnknownCustomer.
    """
    customer = get_customer(livemode=livemode, customer_id=customer_id)
    return TaxExemption.objects.filter(customer=customer)
