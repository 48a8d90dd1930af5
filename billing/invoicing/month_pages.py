"""A customer's month on paper: every grant, refill, use and lapse, wallet by wallet."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta
from django.template.loader import render_to_string

from aforo.errors import FieldError, Invalid
from aforo.money import EXPONENTS
from aforo.sandbox.services import now_for
from billing.invoicing import document_files, document_pages, documents
from billing.models import Customer, FileFormat
from ledger.entries import books
from ledger.models import LedgerEvent
from wallets import monthly_statements
from wallets.models import CreditSource, MovementKind
from wallets.monthly_statements import StatementLine, WalletMonth

TEMPLATE = "documents/month.html"
# More than that nobody reads on paper, and no printer makes in time.
MOST = 5_000
_SUMS = {
    MovementKind.GRANT: "Granted and bought",
    MovementKind.BURN: "Used",
    MovementKind.EXPIRE: "Lapsed",
    MovementKind.REVERSE: "Given back",
    MovementKind.REFUND: "Refunded",
    MovementKind.ADJUST: "Adjusted",
}


def file_of(*, livemode: bool, customer_id: str, period: str, form: FileFormat) -> bytes:
    """Return the month of a customer (`2026-01`) as a page or a PDF. It is made anew each time:
    a month of the books that is closed does not change.

    Raises: UnknownCustomer, Invalid (`too_many`), PdfUnavailable.
    """
    book = books.get_book(livemode=livemode, key=customer_id)
    customer = Customer.objects.get(pk=book.pk)
    month = date.fromisoformat(f"{period}-01")
    wallets = monthly_statements.of_month(book=book, month=month)
    if sum(len(wallet.lines) for wallet in wallets) > MOST:
        detail = f"More than {MOST} movements: read them by GET /v1/statements.csv."
        raise Invalid([FieldError("/period", "too_many", detail)])
    zone = ZoneInfo(customer.timezone)
    party = documents.party(book, customer)
    last = month + relativedelta(months=1, days=-1)
    page = render_to_string(
        TEMPLATE,
        {
            "title": "Credit statement",
            "number": period,
            "is_test": not livemode,
            "seller": documents.seller(),
            "customer": party,
            "country": document_pages.territory(party["country"]),
            "period": f"{_day(month)} \N{EN DASH} {_day(last)}",
            "made": _day(now_for(book).astimezone(zone)),
            "wallets": [_wallet(wallet, zone) for wallet in wallets],
        },
    )
    return page.encode() if form == FileFormat.HTML else document_files.printed(page)


def _wallet(wallet: WalletMonth, zone: ZoneInfo) -> dict[str, Any]:
    def shown(amount: Decimal) -> str:
        if wallet.currency in EXPONENTS:
            return document_pages.shown(amount, wallet.currency)
        return document_pages.quantity(f"{amount:f}")

    unit = str(wallet.currency or wallet.metric)
    return {
        "name": unit if wallet.currency else f"Units of {unit}",
        "unit": unit,
        "opening": shown(wallet.opening),
        "closing": shown(wallet.closing),
        "sums": [(_SUMS[MovementKind(kind)], shown(total)) for kind, total in wallet.sums.items()],
        "lines": [
            {
                "what": LedgerEvent(line.cause).label,
                "credits": _credits(line),
                "day": _day(line.occurred_at.astimezone(zone)),
                "quantity": shown(line.quantity),
                "balance": shown(line.balance),
            }
            for line in wallet.lines
        ],
    }


def _credits(line: StatementLine) -> str:
    kind = document_pages.KINDS[line.credit]
    return f"{kind}: {documents.LOTS[CreditSource(line.source)].lower()}"


def _day(day: date | datetime) -> str:
    return f"{day.day} {day:%B %Y}"
