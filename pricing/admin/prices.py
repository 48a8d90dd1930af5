"""Prices by currency as people write them: a line each."""

from __future__ import annotations

from typing import Any

from django import forms

from aforo.adminui.forms import Textarea


class PricesField(forms.CharField):
    """A price in each currency, `USD 10.00`, one a line; what they may be is the service's."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            widget=Textarea(attrs={"rows": 3, "placeholder": "USD 10.00"}),
            **{"help_text": "One a line: USD 10.00"} | options,
        )

    def prepare_value(self, value: Any) -> Any:
        """Return the prices as lines; what was sent stays as it was written."""
        if isinstance(value, dict):
            return "\n".join(f"{currency} {price}" for currency, price in value.items())
        return value

    def to_python(self, value: Any) -> Any:
        """Read the lines as prices by currency.

        Raises: ValidationError, for a line of another form, or a currency twice.
        """
        prices: dict[str, str] = {}
        for line in (super().to_python(value) or "").splitlines():
            parts = line.split()
            if len(parts) == 0:
                continue
            if len(parts) != 2 or parts[0].upper() in prices:
                raise forms.ValidationError(f"Write each currency once, as USD 10.00: {line}")
            prices[parts[0].upper()] = parts[1]
        return prices
