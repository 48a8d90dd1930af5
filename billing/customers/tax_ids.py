"""VAT numbers of the European Union: their form and check digits (python-stdnum). Pure."""

from __future__ import annotations

from typing import Final

from stdnum.eu import vat
from stdnum.exceptions import ValidationError
from stdnum.util import clean

from aforo import countries

# Greece writes EL in front of its numbers, Northern Ireland XI.
_PREFIXES: Final = (countries.EU - {"GR"}) | {"EL", "XI"}


class InvalidTaxId(ValueError):
    """The number is no VAT number; the sentence says why."""


def is_checked(country: str) -> bool:
    """Return whether the tax ids of a country's customers are VAT numbers, which can be checked."""
    return country in countries.EU


def normalised(tax_id: str, country: str) -> str:
    """Return a VAT number with the prefix of its state, without spaces and dots; what is of another
    country stays as it is written.

    Raises: InvalidTaxId.
    """
    if not tax_id.strip() or not is_checked(country):
        return tax_id.strip()
    prefix = "EL" if country == "GR" else country
    number = clean(tax_id, " -./").upper()
    own = number if number.startswith(prefix) else f"{prefix}{number}"
    if vat.is_valid(own):
        return str(vat.validate(own))
    # A customer may be registered in another state than the one it is in.
    read = number if number[:2] in _PREFIXES else own
    try:
        return str(vat.validate(read))
    except ValidationError as error:
        reason = str(error).rstrip(".")
        raise InvalidTaxId(f"{tax_id} is no VAT number of {read[:2]}: {reason}.") from error
