"""A calculation as the API and the invoice page present it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from aforo.money import ZERO, plain
from aforo.periods import Period
from billing.calculation import credit_application
from billing.calculation.calculation import CalculatedLine, Calculation, Payer, Tax
from billing.calculation.stages.tax import taxes_in_overage
from pricing.calculators import Step


def facts(draft: Calculation, *, product: str) -> dict[str, object]:
    """Return an entry's facts beside its figures: the plan, and the tax in it."""
    rate = main_rate(draft)
    if rate is None:
        return {"product": product}
    return {"product": product, **rate_facts(rate_json(rate)), **several(taxes(draft))}


def rate_facts(rate: Mapping[str, Any]) -> dict[str, object]:
    """Return a rate as entries name it, with the rates that it is the sum of."""
    facts = {
        "tax_code": rate["name"],
        "tax_percent": rate["percent"],
        "jurisdiction": rate["jurisdiction"],
    }
    if "evidence" in rate:
        facts["tax_evidence"] = rate["evidence"]
    return {**facts, **several(rate.get("parts", ()))}


def several(taxed: Sequence[Mapping[str, object]]) -> dict[str, list[dict[str, object]]]:
    """Return the parts of each rate, where a document has more than one."""
    if len(taxed) < 2:
        return {}
    names = {"name": "tax_code", "percent": "tax_percent", "evidence": "tax_evidence"}
    return {"taxes": [{names.get(key, key): text for key, text in each.items()} for each in taxed]}


def taxes(draft: Calculation) -> list[dict[str, object]]:
    """Return each rate with its net and its tax; `on_top` where another has the same net."""
    return [
        {
            **rate_json(part.rate),
            "net": plain(part.net),
            "tax": plain(part.amount),
            **({"on_top": "yes"} if part.rate.on_top else {}),
        }
        for part in draft.taxes
    ]


def main_rate(draft: Calculation) -> Tax | None:
    """Return the rate of the document's own period, else the first one in it."""
    if draft.tax_rate is not None or not draft.taxes:
        return draft.tax_rate
    return draft.taxes[0].rate


def rate_json(rate: Tax) -> dict[str, Any]:
    """Return a rate as documents keep it."""
    shown: dict[str, Any] = {
        "name": rate.name,
        "jurisdiction": rate.jurisdiction,
        "percent": plain(rate.percent),
    }
    if rate.evidence:
        shown["evidence"] = dict(rate.evidence)
    return {**shown, "parts": [rate_json(part) for part in rate.parts]} if rate.parts else shown


def rate_of_json(shown: Mapping[str, Any]) -> Tax:
    """Return the rate that a document keeps."""
    parts = [rate_of_json(part) for part in shown.get("parts", ())]
    return Tax(
        shown["name"],
        Decimal(shown["percent"]),
        shown["jurisdiction"],
        tuple(replace(part, on_top=n > 0) for n, part in enumerate(parts)),
        evidence=tuple(sorted(shown.get("evidence", {}).items())),
    )


def net_overage(draft: Calculation) -> Decimal:
    """Return what debits ran up, without the tax inside, which is part of the tax."""
    return draft.overage - sum((part.amount for part in taxes_in_overage(draft)), ZERO)


def totals(draft: Calculation) -> dict[str, object]:
    """Return the totals: who pays what."""
    rate = main_rate(draft)
    due = [payer for payer in draft.payers if payer.kind in {"INVOICE", "ARREARS"}]
    return {
        "subtotal": plain(draft.subtotal),
        "discount": plain(draft.discount),
        "coupons": [
            {
                "code": each.coupon.code,
                "amount": plain(each.amount),
                "period": each.coupon.period,
            }
            for each in draft.discounts
            if each.amount > 0
        ],
        "tax": plain(draft.tax),
        "tax_rate": None if rate is None else rate_json(rate),
        "taxes": taxes(draft),
        "bonus": plain(draft.bonus),
        "overage": plain(net_overage(draft)),
        "total": plain(draft.total),
        "from_units": [
            {"metric": metric, "kind": kind, "quantity": plain(quantity)}
            for metric, burns in sorted(draft.unit_burns.items())
            for kind, quantity in credit_application.by_kind(burns).items()
            if quantity > 0
        ],
        "tax_in_units": plain(credit_application.tax_in_units(draft)),
        "from_wallet": {kind: plain(amount) for kind, amount in draft.from_wallet.items()},
        "to_invoice": plain(draft.to_invoice),
        "arrears": plain(draft.arrears),
        "due": {
            "net": plain(sum((payer.net for payer in due), ZERO)),
            "tax": plain(sum((payer.tax for payer in due), ZERO)),
        },
    }


def stages(draft: Calculation) -> list[Mapping[str, object]]:
    """Return the trace, stage by stage."""
    return [
        {
            "stage": trace.stage,
            "title": trace.title,
            "in": dict(trace.given),
            "out": dict(trace.found),
            "notes": list(trace.notes),
        }
        for trace in draft.trace
    ]


def content(draft: Calculation, ahead: Period | None = None) -> dict[str, object]:
    """Return what a document says beside its totals: lines with their period, the tax by rate, who
    pays in burn order, and the units that paid. `ahead` is the period of fees in advance.
    """
    return {
        "lines": [_line(line, _period_of(draft, line, ahead)) for line in draft.lines],
        "taxes": taxes(draft),
        "payers": [_payer(payer) for payer in draft.payers if payer.gross != 0],
        "units": totals(draft)["from_units"],
    }


def _period_of(draft: Calculation, line: CalculatedLine, ahead: Period | None) -> Period | None:
    """Return the service period of a line; what belongs to a settled cycle names it itself."""
    if line.adjusts is not None:
        return None
    return ahead if line.in_advance else draft.period


def _line(line: CalculatedLine, period: Period | None) -> dict[str, object]:
    return {
        "kind": line.kind,
        "charge": line.charge,
        "description": line.description,
        "quantity": None if line.quantity is None else plain(line.quantity),
        "unit_price": None if line.unit_price is None else plain(line.unit_price),
        "amount": plain(line.amount),
        "period": None if period is None else between(period),
        "steps": [step(each) for each in line.steps],
    }


def between(period: Period) -> dict[str, str]:
    """Return a period as documents have it."""
    return {"starts_at": period.starts_at.isoformat(), "ends_at": period.ends_at.isoformat()}


def step(found: Step) -> dict[str, str | None]:
    """Return a step of a line's price."""
    return {
        "label": found.label,
        "quantity": plain(found.quantity),
        "unit_price": None if found.unit_price is None else plain(found.unit_price),
        "amount": plain(found.amount),
    }


def _payer(payer: Payer) -> dict[str, object]:
    return {
        "kind": payer.kind,
        "lot": None if payer.lot is None else str(payer.lot),
        "amount": plain(payer.gross),
        "tax": plain(payer.tax),
    }
