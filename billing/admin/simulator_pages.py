"""Previews and backtests as the tables and cards of a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe

from aforo import money
from aforo.money import ZERO, plain
from billing.models import Backtest

Table = dict[str, Any]

# Half of the hundredth of a percent to which percentages are rounded.
_HALF = Decimal("0.005")


def _table(headers: list[str], rows: Iterable[list[Any]]) -> Table:
    return {"headers": headers, "rows": list(rows)}


def _amount(text: object, currency: str) -> str:
    """Return an amount with thousands separated: 1,234.50; one finer than cents in full."""
    value = Decimal(str(text))
    cents = money.round_amount(value, currency)
    return f"{cents:,}" if cents == value else f"{plain(value)}"


def _rounded(text: object, currency: str) -> str:
    return f"{money.round_amount(Decimal(str(text)), currency):,}"


def preview(shown: Mapping[str, Any], currency: str) -> dict[str, Any]:
    """Return the tables of a preview: what is owed and who pays, then every stage with its
    reasons.
    """
    totals = shown["totals"]
    wallet = sum((Decimal(paid) for paid in totals["from_wallet"].values()), ZERO)
    left = Decimal(totals["to_invoice"]) + Decimal(totals["arrears"])
    return {
        "cards": [
            {"title": "Total", "value": f"{_amount(totals['total'], currency)} {currency}"},
            {"title": "Money credits pay", "value": _amount(plain(wallet), currency)},
            {"title": "Left to pay", "value": _amount(plain(left), currency)},
        ],
        "totals": _table(
            ["", currency],
            who_pays(totals, currency),
        ),
        "waterfall": _table(
            ["Kind", "Of", "Pays"],
            (
                [each["kind"], each.get("metric") or each["currency"],
                 plain(each["quantity"] if "metric" in each else each["amount"])]
                for each in shown["waterfall"]
            ),
        ),
        "stages": stages(shown["stages"]),
    }  # fmt: skip


def who_pays(totals: Mapping[str, Any], currency: str) -> list[list[str]]:
    """Return the rows from the subtotal to who pays."""
    has_bonus = Decimal(totals.get("bonus", "0")) != 0
    steps = ("subtotal", "discount", "tax", *(("bonus",) if has_bonus else ()), "total")
    payers = [("From " + kind.lower(), paid) for kind, paid in totals["from_wallet"].items()]
    payers += [("To the invoice", totals["to_invoice"]), ("Arrears", totals["arrears"])]
    return [[name.capitalize(), _amount(totals[name], currency)] for name in steps] + [
        [name, _amount(paid, currency)] for name, paid in payers
    ]


def stages(trace: Iterable[Mapping[str, Any]]) -> Table:
    """Return the table of the ten stages' trace, a stage a row."""
    return _table(
        ["Stage", "In", "Out", "Why"],
        (
            [f"{stage['stage']}. {stage['title']}", _named(stage["in"]), _named(stage["out"]),
             _lines(stage["notes"])]
            for stage in trace
        ),
    )  # fmt: skip


def _named(values: Mapping[str, str]) -> SafeString:
    return _lines(f"{name} {value}" for name, value in values.items())


def _lines(texts: Iterable[str]) -> SafeString:
    return format_html_join(mark_safe("<br>"), "{}", ((text,) for text in texts))


def backtest(found: Backtest) -> dict[str, Any]:
    """Return the tables of a backtest: the question, the revenue, the months, and who wins or
    loses.
    """
    plan, summary = found.version.plan, found.summary
    who = "all customers of the plan"
    if found.offering is not None:
        who = f"the offering {found.offering.code}"
    if found.customers:
        who += f", {len(found.customers)} chosen customers"
    paying = "with money credits" if found.with_credits else "before money credits"
    asked = (
        f"Cycles of {who} that ended after {found.starts_at:%d %b %Y} and by "
        f"{found.ends_at:%d %b %Y}, on {found.version}, in {plan.currency}, {paying}."
    )
    if not summary:
        return {"asked": asked, "summary": None}
    return {"asked": asked, "summary": summary, **_answer(summary, plan.currency)}


def _answer(summary: Mapping[str, Any], currency: str) -> dict[str, Any]:
    sides = ("paid", "priced", "delta")
    percent = "" if summary["percent"] is None else f"{_percent(summary['percent'])} %"
    failed = f"{summary['failed']} cycles could not be priced" if summary["failed"] else ""
    return {
        "cards": [
            {"title": "Paid", "value": _rounded(summary["paid"], currency),
             "note": f"{summary['cycles']} cycles"},
            {"title": "Would have paid", "value": _rounded(summary["priced"], currency),
             "note": failed},
            {"title": "Difference", "value": _signed(summary["delta"], currency), "note": percent},
            {"title": "Customers", "value": summary["customers"],
             "note": f"{summary['winners']} pay less, {summary['losers']} more, "
                     f"{summary['unchanged']} the same"},
        ],
        "months": _table(
            ["Month", "Cycles", "Paid", "Would have paid", "Difference", "%"],
            (
                [month["month"], month["cycles"], _rounded(month["paid"], currency),
                 _rounded(month["priced"], currency), _signed(month["delta"], currency),
                 _percent(month["percent"])]
                for month in summary["months"]
            ),
        ),
        "winners": _customers(summary["most_saved"], currency, sides),
        "losers": _customers(summary["most_added"], currency, sides),
        "distribution": _table(
            ["Change of a customer's total", "Customers", "Difference"],
            (
                [_range(group), group["customers"], _signed(group["delta"], currency)]
                for group in summary["distribution"]
            ),
        ),
    }  # fmt: skip


def _customers(rows: Iterable[Mapping[str, Any]], currency: str, sides: tuple[str, ...]) -> Table:
    return _table(
        ["Customer", "Paid", "Would have paid", "Difference"],
        (
            [row["customer_id"], *(_rounded(row[side], currency) for side in sides[:2]),
             _signed(row["delta"], currency)]
            for row in rows
        ),
    )  # fmt: skip


def _signed(text: str, currency: str) -> str:
    value = money.round_amount(Decimal(text), currency)
    return f"{value:+,}" if value else f"{value:,}"


def _percent(text: str | None) -> str:
    return "" if text is None else f"{money.floor(Decimal(text) + _HALF, 2):+}"


def _range(group: Mapping[str, Any]) -> str:
    low, high = group["from"], group["under"]
    if low is None:
        return f"down by more than {-high} %"
    if high is None:
        return f"up by {low} % and more"
    if high <= 0:
        return f"down by {'up to' if high == 0 else f'{-high} to'} {-low} %"
    return f"up by {f'less than {high}' if low == 0 else f'{low} to {high}'} %"
