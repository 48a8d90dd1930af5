"""A document as a page: HTML for people, made of what was issued and of nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale
from django.template.loader import render_to_string

from aforo.money import EXPONENTS, ZERO, amount_text, plain

TEMPLATE = "documents/document.html"
_TITLES = {"INVOICE": "Invoice", "STATEMENT": "Statement", "CREDIT_NOTE": "Credit note"}
# What is added below the charges, each on a line of its own.
_BELOW = {"DISCOUNT", "TAX", "BONUS"}
KINDS = {
    "PROMO": "Promotional credits",
    "BONUS": "Bonus credits",
    "CASH": "Prepaid credits",
    "CREDITS": "Credits",
}
# Who pays what credits do not.
_REST = {"INVOICE": "Amount due", "ARREARS": "Owed from the next credits"}
_TERRITORIES = Locale("en").territories


def page(content: Mapping[str, Any], *, stages: Sequence[Mapping[str, Any]] = ()) -> str:
    """Return the page of a document, with the trace of its settlement as an appendix."""
    currency, zone = content["currency"], ZoneInfo(content["customer"]["timezone"])
    above = [line for line in content["lines"] if line["kind"] not in _BELOW]
    below = [line for line in content["lines"] if line["kind"] in _BELOW]
    subtotal = sum((Decimal(line["amount"]) for line in above), ZERO)
    paid = [payer for payer in content.get("payers", ()) if payer["kind"] not in _REST]
    rest = [payer for payer in content.get("payers", ()) if payer["kind"] in _REST]
    due_at = content.get("due_at")
    return render_to_string(
        TEMPLATE,
        {
            "title": _TITLES[content["document"]],
            "number": content["number"],
            "currency": currency,
            "is_test": not content["livemode"],
            "seller": content["seller"],
            "customer": content["customer"],
            "country": territory(content["customer"]["country"]),
            "issued": _day(content["issued_at"], zone),
            "due": _day(due_at, zone) if due_at else "",
            "period": _span(content["period"], zone),
            "lines": [_line(line, currency, zone, content["period"]) for line in above],
            "subtotal": shown(subtotal, currency),
            "below": [
                (line["description"], shown(Decimal(line["amount"]), currency)) for line in below
            ],
            "total": shown(Decimal(content["totals"]["total"]), currency),
            "credits": [_payer(payer, currency) for payer in paid],
            "units": [
                (KINDS[each["kind"]], quantity(each["quantity"]), each["metric"])
                for each in content.get("units", ())
            ],
            "rest": _rest(content, rest, currency),
            "taxes": [
                {
                    "name": tax["name"],
                    "where": tax.get("jurisdiction", ""),
                    "percent": plain(Decimal(tax["percent"])),
                    "net": shown(Decimal(tax["net"]), currency),
                    "tax": shown(Decimal(tax["tax"]), currency),
                }
                for tax in content.get("taxes", ())
            ],
            "notes": content.get("notes", ()),
            "stages": [{**stage, "figures": list(stage["out"].items())} for stage in stages],
        },
    )


def _rest(
    content: Mapping[str, Any], rest: Sequence[Mapping[str, Any]], currency: str
) -> tuple[str, str]:
    """Return what is left to pay, with its name: also where that is nothing."""
    if content["document"] == "CREDIT_NOTE":
        return "Credited to you", shown(Decimal(content["totals"]["total"]), currency)
    is_statement = content["document"] == "STATEMENT"
    name = _REST["ARREARS" if is_statement else "INVOICE"]
    left = sum((Decimal(payer["amount"]) for payer in rest), ZERO)
    return name, shown(left, currency)


def _line(
    line: Mapping[str, Any], currency: str, zone: ZoneInfo, whole: Mapping[str, str]
) -> dict[str, Any]:
    """Return a line; its period where it is another than the document's."""
    period = line["period"]
    steps = line["steps"] if len(line["steps"]) > 1 else ()
    return {
        "description": line["description"],
        "period": _span(period, zone) if period and period != whole else "",
        "quantity": quantity(line["quantity"]),
        "unit_price": quantity(line["unit_price"]) if not steps else "",
        "amount": shown(Decimal(line["amount"]), currency),
        "steps": [
            {
                "label": step["label"],
                "quantity": quantity(step["quantity"]),
                "unit_price": quantity(step["unit_price"]),
                "amount": shown(Decimal(step["amount"]), currency),
            }
            for step in steps
        ],
    }


def _payer(payer: Mapping[str, Any], currency: str) -> dict[str, str]:
    return {
        "kind": KINDS[payer["kind"]],
        "name": payer["name"],
        "amount": shown(Decimal(payer["amount"]), currency),
    }


def shown(amount: Decimal, currency: str) -> str:
    """Write an amount for people: 1,234.50, with a true minus, and all its decimals; of credits
    that are a unit of their own, those alone.
    """
    if currency not in EXPONENTS:
        return quantity(plain(amount))
    text = amount_text(abs(amount), currency)
    whole, point, fraction = text.partition(".")
    sign = "\N{MINUS SIGN}" if amount < 0 else ""
    return f"{sign}{int(whole):,}{point}{fraction}"


def quantity(text: str | None) -> str:
    """Write a quantity or unit price for people; nothing where there is none."""
    if text is None:
        return ""
    whole, point, fraction = plain(abs(Decimal(text))).partition(".")
    sign = "\N{MINUS SIGN}" if Decimal(text) < 0 else ""
    return f"{sign}{int(whole):,}{point}{fraction}"


def territory(code: str) -> str:
    """Return the name of a country."""
    return str(_TERRITORIES.get(code, code))


def _day(moment: str, zone: ZoneInfo) -> str:
    local = datetime.fromisoformat(moment).astimezone(zone)
    return f"{local.day} {local:%B %Y}"


def _span(period: Mapping[str, str], zone: ZoneInfo) -> str:
    """Return the days of a period, its last one included; one day where it is no longer."""
    starts_at, ends_at = period["starts_at"], period["ends_at"]
    first = _day(starts_at, zone)
    if starts_at == ends_at:
        return first
    last_instant = datetime.fromisoformat(ends_at) - timedelta(microseconds=1)
    last = _day(last_instant.isoformat(), zone)
    return first if first == last else f"{first} \N{EN DASH} {last}"
