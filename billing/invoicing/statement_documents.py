"""What the statement of a PREPAID settlement says, which is its own document."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from aforo.money import ZERO, plain
from billing.invoicing import documents, tax_wording
from billing.models import Document, IssuedDocument, Settlement
from ledger.models import Book

_TOTALS = ["subtotal", "discount", "tax", "total", "arrears"]


def freeze(*, book: Book, settlement: Settlement) -> IssuedDocument:
    """Freeze the statement of a settlement that has its number. The book must be locked."""
    content: dict[str, Any] = settlement.content or _of_earlier_version(settlement.totals)
    settlement.content = content
    assert settlement.statement_number is not None, "a numbered statement"
    assert settlement.settled_at is not None, "of a settled cycle"
    from_wallet = (Decimal(each) for each in settlement.totals["from_wallet"].values())
    return documents.freeze(
        book=book,
        customer=settlement.subscription.customer,
        document=Document.STATEMENT,
        number=settlement.statement_number,
        subject=settlement.pk,
        issued_at=settlement.settled_at,
        content={
            **content,
            "payers": documents.named(content["payers"]),
            "currency": settlement.currency,
            "period": {
                "starts_at": settlement.starts_at.isoformat(),
                "ends_at": settlement.ends_at.isoformat(),
            },
            "totals": {
                **{name: settlement.totals[name] for name in _TOTALS},
                "from_wallet": plain(sum(from_wallet, ZERO)),
            },
            "notes": tax_wording.sentences(content["taxes"]),
        },
    )


def _of_earlier_version(totals: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a statement says that was settled before documents were kept: its sums, since
    its lines were not written.
    """
    signed = {name: Decimal(totals.get(name, "0")) for name in ("subtotal", "tax", "bonus")}
    figures = [
        ("USAGE", "Usage and fees", signed["subtotal"]),
        ("DISCOUNT", "Discount", -Decimal(totals["discount"])),
        ("TAX", "Tax", signed["tax"]),
        ("BONUS", "Face of credits beyond what was paid", signed["bonus"]),
    ]
    left = Decimal(totals["total"]) - sum((amount for *_, amount in figures), ZERO)
    figures.append(("OVERAGE", "Overage of debits", left))
    paid = [(kind, Decimal(amount)) for kind, amount in totals["from_wallet"].items()]
    paid.append(("ARREARS", Decimal(totals["arrears"])))
    return {
        "lines": [
            {
                "kind": kind,
                "charge": "",
                "description": description,
                "quantity": None,
                "unit_price": None,
                "amount": plain(amount),
                "period": None,
                "steps": [],
            }
            for kind, description, amount in figures
            if amount != 0
        ],
        "taxes": totals.get("taxes", []),
        "payers": [
            {"kind": kind, "lot": None, "amount": plain(amount), "tax": "0"}
            for kind, amount in paid
            if amount != 0
        ],
        "units": totals["from_units"],
    }
