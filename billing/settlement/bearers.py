"""The payers who bear a settled cycle, and how each of their shares is lowered.

Nothing is posted here; each caller's entry has the reason. The book must be locked.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from aforo import money
from aforo.money import ZERO
from billing.calculation.correction import Borne, PayerShare
from billing.models import Invoice, InvoiceStatus, LateCredit, Settlement
from billing.settlement import cycle_burns
from billing.settlement import write as settlement_writing
from wallets.models import CreditLot

ARREARS = "ARREARS"


def bearers_of(settlement: Settlement) -> list[Borne]:
    """Return who bears a cycle: arrears, invoices with the open ones first, then money lots, the
    last burned first.
    """
    found = []
    owed = settlement.arrears - settlement.arrears_paid
    if owed > 0:
        found.append(Borne(ARREARS, owed, owed - settlement_writing.open_tax(settlement)))
    found += _invoiced(settlement)
    burns = cycle_burns.by_lot(settlement=settlement)
    money_lots = CreditLot.objects.filter(pk__in=burns, wallet__isnull=False)
    is_money = set(money_lots.values_list("pk", flat=True))
    found += [
        Borne(burn, burn.quantity, burn.quantity - burn.tax)
        for lot, burn in reversed(burns.items())
        if lot in is_money and burn.quantity > 0
    ]
    return found


def invoices_of(settlement: Settlement) -> list[Invoice]:
    """Return the invoice of a cycle, and those of what was added to it."""
    added = Invoice.objects.filter(adjustment__settlement=settlement)
    return [*Invoice.objects.filter(settlement=settlement), *added.order_by("created_at", "pk")]


def _invoiced(settlement: Settlement) -> Iterator[Borne]:
    """Return what invoices still bear, without what is owed for late usage."""
    owed = sum(
        (each.amount - each.paid_out for each in LateCredit.objects.filter(settlement=settlement)),
        ZERO,
    )
    for invoice in sorted(invoices_of(settlement), key=lambda each: each.open == 0):
        gross = invoice.amount_due - invoice.credited - invoice.returned - invoice.written_off
        if gross > 0:
            net = gross - money.proportion(invoice.due_tax, gross, invoice.amount_due)
            taken = min(owed, net)
            owed -= taken
            if taken < net:
                left = money.proportion(gross, net - taken, net)
                left = gross if taken == 0 else money.round_amount(left, invoice.currency)
                yield Borne(invoice, max(left, net - taken), net - taken, invoice.currency)


def forgive(settlement: Settlement, share: PayerShare) -> None:
    """Lower the open arrears; nothing was posted for them yet."""
    settlement.arrears -= share.gross
    settlement.arrears_tax -= share.tax
    settlement.save(update_fields=["arrears", "arrears_tax"])


def lower(invoice: Invoice, gross: Decimal) -> tuple[Decimal, Decimal]:
    """Lower what is open of an invoice, then what was paid of it, which is returned to the
    customer; return both parts.
    """
    credited = min(gross, invoice.open)
    returned = min(gross - credited, invoice.paid - invoice.returned)
    invoice.credited += credited
    invoice.returned += returned
    if invoice.open == 0 and invoice.status == InvoiceStatus.OPEN:
        invoice.status = InvoiceStatus.PAID
    invoice.save(update_fields=["credited", "returned", "status"])
    return credited, returned
