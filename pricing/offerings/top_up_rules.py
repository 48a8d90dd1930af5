"""On what terms credits of a currency are sold; a change counts from the next top-up on."""

from __future__ import annotations

from decimal import Decimal

from django.db import transaction

from aforo import money
from aforo.errors import FieldError, Invalid
from pricing.catalogue import TopUpTerms
from pricing.models import BonusSlab, TopUpRule


@transaction.atomic
def set_top_up_terms(*, livemode: bool, currency: str, terms: TopUpTerms) -> TopUpRule:
    """Write the terms of a currency, in place of those before; what was bought keeps its own.

    Raises: Invalid, naming every fault.
    """
    check_top_up_terms(currency=currency, terms=terms)
    rule, _ = TopUpRule.objects.update_or_create(
        livemode=livemode,
        currency=currency,
        defaults={
            "minimum": terms.minimum,
            "maximum": terms.maximum,
            "expires_after_days": terms.expires_after_days,
            "on_account": terms.on_account,
            "tax_at_sale": terms.tax_at_sale,
            "tax_class": terms.tax_class.lower(),
        },
    )
    rule.slabs.all().delete()
    BonusSlab.objects.bulk_create(
        BonusSlab(rule=rule, from_amount=start, bonus=bonus) for start, bonus in terms.slabs
    )
    return rule


def delete_top_up_terms(*, livemode: bool, currency: str) -> None:
    """Delete the terms of a currency: its credits are sold without bounds and bonuses."""
    TopUpRule.objects.filter(livemode=livemode, currency=currency).delete()


def check_top_up_terms(*, currency: str, terms: TopUpTerms) -> None:
    """Check terms against each other, and that the bounds can be paid.

    Raises: Invalid, naming every fault.
    """
    faults = []
    if currency not in money.EXPONENTS:
        faults.append(FieldError("/currency", "unknown_currency", "This currency is unknown."))
    else:
        faults += _bound("minimum", terms.minimum, currency)
        faults += _bound("maximum", terms.maximum, currency)
    low, high = terms.minimum, terms.maximum
    if low is not None and high is not None and low > high:
        detail = "It lies below the minimum."
        faults.append(FieldError("/maximum", "below_minimum", detail))
    if terms.expires_after_days == 0:
        detail = "At least one day; leave it empty for no expiry."
        faults.append(FieldError("/expires_after_days", "too_small", detail))
    faults += _slabs(terms)
    if faults:
        raise Invalid(faults)


def _bound(name: str, value: Decimal | None, currency: str) -> list[FieldError]:
    if value is None:
        return []
    if value <= 0:
        detail = "Above zero; leave it empty for no bound."
        return [FieldError(f"/{name}", "not_positive", detail)]
    if not money.is_payable(value, currency):
        detail = f"It cannot be paid in {currency}: too many decimals."
        return [FieldError(f"/{name}", "not_payable", detail)]
    return []


def _slabs(terms: TopUpTerms) -> list[FieldError]:
    faults = []
    starts = [start for start, _ in terms.slabs]
    for n, (start, bonus) in enumerate(terms.slabs):
        if start <= 0 or bonus <= 0:
            faults.append(FieldError(f"/slabs/{n}", "not_positive", "Both are above zero."))
        if start in starts[:n]:
            detail = "Another slab begins at this amount."
            faults.append(FieldError(f"/slabs/{n}", "repeated", detail))
    return faults
