"""Which rate a customer is taxed by: the one question that documents and sales ask. The table of
rates answers it, unless TAX_PROVIDER names another one.

Direct debits ask nobody: wallets have the table's rates beside them (docs/decisions.md#d442).
"""

from __future__ import annotations

import json
from datetime import datetime
from functools import cache
from typing import Protocol

from django.conf import settings
from django.db import connection
from django.utils.module_loading import import_string

from billing.calculation.calculation import Tax
from billing.models import Customer
from wallets.lots.tax_rates import RateInForce, rate_at


class TaxProvider(Protocol):
    """A source of tax rates. It is asked while a book is locked, so it answers from what it has
    at hand and calls no network.
    """

    def rate_of(self, customer: Customer, at: datetime, product_class: str) -> Tax | None:
        """Return the rate in force for a customer and a class of products at a moment, if any."""


class RateTable:
    """The rates of `/v1/tax-rates`; which ones a customer has is the database's function, which
    fills wallets by it too.
    """

    def rate_of(self, customer: Customer, at: datetime, product_class: str) -> Tax | None:
        """Return the rate in force."""
        if not customer.country:
            return None
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT billing_tax_rates_of(%s, %s)::text", [customer.pk, product_class]
            )
            ((rates,),) = cursor.fetchall()
        return as_tax(rate_at(json.loads(rates), at))


def tax_rate_of(customer: Customer, at: datetime, product_class: str = "") -> Tax | None:
    """Return the rate by which a customer is taxed at a moment."""
    return _provider(settings.TAX_PROVIDER).rate_of(customer, at, product_class)


@cache
def _provider(path: str) -> TaxProvider:
    if not path:
        return RateTable()
    made: TaxProvider = import_string(path)()
    return made


def as_tax(rate: RateInForce | None) -> Tax | None:
    """Return a rate as the stages read it."""
    if rate is None:
        return None
    parts = tuple(
        Tax(part.name, part.percent, part.jurisdiction, on_top=n > 0, evidence=part.evidence)
        for n, part in enumerate(rate.parts)
    )
    return Tax(rate.name, rate.percent, rate.jurisdiction, parts, evidence=rate.evidence)
