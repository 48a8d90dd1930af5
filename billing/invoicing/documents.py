"""Issued documents: what one says is written once, as canonical text with its hash, in the
transaction that assigns its number (docs/decisions.md#d410).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec
from django.conf import settings

from billing.models import Customer, Document, IssuedDocument
from ledger.models import Book
from wallets.models import CreditLot, CreditSource

# Compact JSON in UTF-8 with sorted names; any JSON library writes the same.
_ENCODER = msgspec.json.Encoder(order="sorted")

# What credits are called where they pay; those of a plan by their grant's code beside it.
LOTS = {
    CreditSource.PLAN: "Plan credits",
    CreditSource.CAMPAIGN: "Campaign credits",
    CreditSource.TOP_UP: "Purchased credits",
    CreditSource.REFILL: "Purchased credits (automatic refill)",
    CreditSource.MANUAL: "Granted credits",
    CreditSource.GOODWILL: "Goodwill credits",
    CreditSource.REVERSAL: "Returned credits",
    CreditSource.OPENING: "Opening balance",
}


def freeze(
    *,
    book: Book,
    customer: Customer,
    document: Document,
    number: str,
    subject: UUID,
    issued_at: datetime,
    content: Mapping[str, object],
) -> IssuedDocument:
    """Write a document as it is issued: its parties as of now, its number, and what it says.

    `content` has strings, lists and objects of them alone, so that the text is the same wherever it
    is written again. The book must be locked.
    """
    body = canonical(
        {
            **content,
            "document": str(document),
            "number": number,
            "livemode": book.livemode,
            "issued_at": issued_at.isoformat(),
            "seller": seller(),
            "customer": party(book, customer),
        }
    )
    return IssuedDocument.objects.create(
        book=book,
        livemode=book.livemode,
        document=document,
        number=number,
        subject=subject,
        body=body,
        sha256=digest(body),
        issued_at=issued_at,
    )


def canonical(content: Mapping[str, object]) -> str:
    """Return the canonical text of a document."""
    return _ENCODER.encode(content).decode()


def digest(body: str) -> str:
    """Return the SHA-256 of a document's bytes."""
    return hashlib.sha256(body.encode()).hexdigest()


def seller() -> dict[str, str]:
    """Return who sells, as the settings have it now."""
    beside = {name.lower(): text.replace("|", "\n") for name, text in settings.SELLER.items()}
    return {
        "name": settings.ENTITY_NAME,
        "registration": settings.ENTITY_REGISTRATION,
        **beside,
    }


def party(book: Book, customer: Customer) -> dict[str, str]:
    """Return who the customer is, as documents say it now."""
    return {
        "id": book.key,
        "name": customer.name,
        "address": customer.address,
        "country": customer.country,
        "region": customer.region,
        "tax_id": customer.tax_id,
        "email": customer.email,
        "timezone": customer.timezone,
    }


def named(payers: list[dict[str, object]]) -> list[dict[str, object]]:
    """Return payers with the name of each lot, as a customer knows it."""
    lots = CreditLot.objects.in_bulk({payer["lot"] for payer in payers if payer["lot"]})
    names = {str(pk): _name(lot) for pk, lot in lots.items()}
    return [{**payer, "name": names.get(str(payer["lot"]), "")} for payer in payers]


def _name(lot: CreditLot) -> str:
    called = LOTS[CreditSource(lot.source)]
    code = f" {lot.grant_code}" if lot.grant_code else ""
    return f"{called}{code} of {lot.granted_at:%Y-%m-%d}"
