"""Write-offs: receivables that nobody is expected to pay, and what is recovered of them
(docs/accounting.md#e40 and #e41).
"""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from django.db.models import Q, Sum

from aforo import money
from aforo.errors import Conflict
from aforo.money import ZERO, plain
from aforo.protocol.idempotency import Answer
from aforo.sandbox.services import now_for
from billing.invoicing import undelivered
from billing.invoicing.invoices import NotOpen, get_invoice
from billing.models import Invoice, InvoiceStatus
from ledger import approvals, posting_rules
from ledger.models import ApprovalAction, Book, LedgerEvent, Posting
from wallets import port
from wallets.lots.credit_journal import CreditJournal
from wallets.models import TopUpStatus
from wallets.operations import idempotency

WRITE_OFF = "billing.invoices.write_off"


class CreditsHeldBack(Conflict):
    """The invoice is of credits that are delivered when it is paid, so nothing is receivable yet.

    Wait for its payment, or void it by POST /v1/invoices/{reference}/void.
    """

    default_code = "credits_held_back"


def write_off(
    *, livemode: bool, invoice: str, reason: str, key: str, tax_relief: bool = False
) -> Answer:
    """Write off what is open of an invoice, which is UNCOLLECTIBLE then, once per key.

    What was never delivered is taken back: fees that are not earned, credits that are not spent.
    The rest uses up the customer's allowance (1150), and is a loss beyond it (6200). The tax stays
    owed, and is part of the loss, unless the law relieves it: `tax_relief`.
    Above a limit it waits for approval. Raises: UnknownInvoice, NotOpen, CreditsHeldBack.
    """
    found = get_invoice(livemode=livemode, reference=invoice)

    said = {"reason": reason, "tax_relief": tax_relief}

    def make(book: Book, operation_id: UUID) -> dict[str, object] | Answer:
        written = Invoice.objects.select_related("top_up").get(pk=found.pk)
        _check(written)
        waits = approvals.ask_in_book(
            book,
            action=ApprovalAction.WRITE_OFF,
            operation=WRITE_OFF,
            content={**said, "invoice": str(found.pk)},
            amount=written.open,
            currency=written.currency,
        )
        return waits or _write_off(book, written, operation_id, reason, tax_relief=tax_relief)

    return idempotency.once(
        livemode=livemode,
        customer_id=found.customer.book.key,
        key=key,
        operation=WRITE_OFF,
        content={**said, "invoice": found.pk},
        make=make,
        status=200,
    )


def _check(invoice: Invoice) -> None:
    """Check that something is owed that can be written off.

    Raises: NotOpen, CreditsHeldBack.
    """
    if invoice.status != InvoiceStatus.OPEN:
        raise NotOpen(f"The invoice {invoice} is {invoice.status}.")
    if invoice.top_up is not None and invoice.top_up.status == TopUpStatus.PENDING:
        raise CreditsHeldBack(f"The credits of {invoice} come when it is paid; nothing is owed.")


@money.exact
def _write_off(
    book: Book, invoice: Invoice, operation_id: UUID, reason: str, *, tax_relief: bool
) -> dict[str, object]:
    gross = invoice.open
    tax = tax_within(invoice, gross)
    journal = CreditJournal()
    entry = journal.entry(
        book=book,
        event=LedgerEvent.WRITE_OFF,
        occurred_at=now_for(book),
        document={
            "invoice": str(invoice),
            "write_off": str(operation_id),
            "reason": reason,
            "amount": plain(gross),
        },
    )
    back = undelivered.take_back(entry, invoice, net=gross - tax)
    relieved = tax if tax_relief else ZERO
    lost = gross - relieved - back.total
    allowed = min(_allowance(book, invoice.currency), max(lost, ZERO))
    entry.lines += posting_rules.write_off(
        earned=allowed,
        loss=max(lost - allowed, ZERO),
        tax=relieved,
        unearned_fees=back.unearned_fees,
        unused=back.unused,
        currency=invoice.currency,
    )
    # A part of credits carries what its last place rounds to.
    entry.lines += posting_rules.receivable_rounded(
        residue=min(lost, ZERO), currency=invoice.currency
    )
    journal.write()
    invoice.status = InvoiceStatus.UNCOLLECTIBLE
    invoice.written_off, invoice.tax_relieved = gross, relieved
    invoice.save(update_fields=["status", "written_off", "tax_relieved"])
    if back.unused:
        port.billing().credits_fell([book.pk])
    return {
        "id": operation_id,
        "customer_id": book.key,
        "invoice": invoice.number,
        "status": invoice.status,
        "currency": invoice.currency,
        "written_off": gross,
        "tax_relieved": relieved,
        "unearned": back.unearned_fees,
        "revoked": back.total - back.unearned_fees,
        "loss": max(lost, ZERO),
        "reason": reason,
        "entry": entry.id,
        "occurred_at": entry.occurred_at,
    }


def tax_within(invoice: Invoice, gross: Decimal) -> Decimal:
    """Return the tax in a part of what is due, rounded as it would be payable."""
    exact = money.proportion(invoice.due_tax, gross, invoice.amount_due)
    return money.round_amount(exact, invoice.currency)


def _allowance(book: Book, currency: str) -> Decimal:
    """Return what was set aside for losses from a customer, and is not used up."""
    account = posting_rules.LOSS_ALLOWANCE
    sums = Posting.objects.filter(entry__book=book, currency=currency).aggregate(
        set_aside=Sum("amount", filter=Q(credit=account)),
        used=Sum("amount", filter=Q(debit=account)),
    )
    return max((sums["set_aside"] or ZERO) - (sums["used"] or ZERO), ZERO)


def recover(
    invoice: Invoice, amount: Decimal, *, paid_into: str
) -> list[posting_rules.PostingLine]:
    """Note a payment of what was written off, at most that much, and return what it posts; paid in
    full the invoice is PAID. The caller saves it.
    """
    before = _tax_recovered(invoice)
    invoice.recovered += amount
    tax = _tax_recovered(invoice) - before
    if invoice.recovered == invoice.written_off:
        invoice.status = InvoiceStatus.PAID
    return posting_rules.loss_recovered(
        net=amount - tax, tax=tax, currency=invoice.currency, paid_into=paid_into
    )


def _tax_recovered(invoice: Invoice) -> Decimal:
    exact = money.proportion(invoice.tax_relieved, invoice.recovered, invoice.written_off)
    return money.round_amount(exact, invoice.currency)
