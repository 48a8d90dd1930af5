"""A settled draft as the API and the invoice page show it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from aforo.money import ZERO, plain
from billing.pipeline import payment
from billing.pipeline.draft import Draft


def facts(draft: Draft, *, product: str) -> dict[str, str]:
    """Give what an entry says of a draft beside its figures: the plan, and which tax is in it."""
    rate = draft.tax_rate
    if rate is None:
        return {"product": product}
    return {
        "product": product,
        "tax_code": rate.name,
        "tax_percent": plain(rate.percent),
        "jurisdiction": rate.jurisdiction,
    }


def totals(draft: Draft) -> dict[str, object]:
    """Give the totals: who pays what."""
    due = [payer for payer in draft.payers if payer.kind in {"INVOICE", "ARREARS"}]
    return {
        "subtotal": plain(draft.subtotal),
        "discount": plain(draft.discount),
        "tax": plain(draft.tax),
        "tax_rate": None
        if draft.tax_rate is None
        else {
            "name": draft.tax_rate.name,
            "jurisdiction": draft.tax_rate.jurisdiction,
            "percent": plain(draft.tax_rate.percent),
        },
        "overage": plain(draft.overage),
        "total": plain(draft.total),
        "from_units": [
            {"metric": metric, "kind": kind, "quantity": plain(quantity)}
            for metric, burns in sorted(draft.unit_burns.items())
            for kind, quantity in payment.by_kind(burns).items()
            if quantity > 0
        ],
        "from_wallet": {kind: plain(amount) for kind, amount in draft.from_wallet.items()},
        "to_invoice": plain(draft.to_invoice),
        "arrears": plain(draft.arrears),
        "due": {
            "net": plain(sum((payer.net for payer in due), ZERO)),
            "tax": plain(sum((payer.tax for payer in due), ZERO)),
        },
    }


def stages(draft: Draft) -> list[Mapping[str, object]]:
    """Give the trace, stage by stage."""
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
