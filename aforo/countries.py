"""Countries and their regions as tax names them, in capitals: ISO 3166-1 alpha-2, and the last part
of ISO 3166-2. Pure.
"""

from __future__ import annotations

import re
from typing import Final

_EU_TEXT: Final = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK"
EU: Final = frozenset(_EU_TEXT.split())
_FORM: Final = re.compile(r"[A-Z]{2}")
# Other codes that are in use, and the one that the country has.
_MEANT: Final = {"UK": "GB", "EL": "GR"}


def normalised(country: str) -> str:
    """Return a country's code in capitals."""
    return country.strip().upper()


def normalised_region(region: str, country: str) -> str:
    """Return a region in capitals, without its country in front: "ca-qc" of CA is QC."""
    return region.strip().upper().removeprefix(f"{country}-")


def fault_of(country: str) -> str | None:
    """Return what is wrong with the code of a country, if anything."""
    if country in _MEANT:
        return f"Write {_MEANT[country]}: {country} is not its code in ISO 3166-1."
    # Two letters that are no country's yet are taken: ISO adds codes, and leaves some to its users.
    return None if _FORM.fullmatch(country) else "Two letters as in ISO 3166-1, such as ES."
