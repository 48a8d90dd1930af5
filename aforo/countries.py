"""Countries and their regions as tax names them, in capitals: ISO 3166-1 alpha-2, and the last part
of ISO 3166-2. Pure.
"""

from __future__ import annotations

import re
from typing import Final

_TEXT: Final = (
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ "
    "BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM "
    "DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS "
    "GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN "
    "KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ "
    "MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM "
    "PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV "
    "SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI "
    "VN VU WF WS YE YT ZA ZM ZW "
)
CODES: Final = frozenset(_TEXT.split())
_EU_TEXT: Final = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK"
EU: Final = frozenset(_EU_TEXT.split())
# Codes that ISO leaves to its users, such as XK for Kosovo.
_OF_USERS: Final = re.compile(r"AA|Q[M-Z]|X[A-Z]|ZZ")
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
    if country in CODES or _OF_USERS.fullmatch(country):
        return None
    return "Two letters as in ISO 3166-1, such as ES."
