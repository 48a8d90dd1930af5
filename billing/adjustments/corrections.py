"""Corrections of settled cycles: return what was charged too much, or charge what was forgotten
(docs/decisions.md#d36). The settlement and its documents stay as they were issued.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import partial
from uuid import UUID

from aforo import money
from aforo.errors import Conflict, FieldError, Invalid
from aforo.ids import new_id
from aforo.money import ZERO
from aforo.periods import Period
from aforo.protocol.idempotency import Answer, KeyedOperation
from aforo.sandbox.services import now_for
from billing.adjustments import returned_lots
from billing.calculation.calculation import CalculatedLine, Calculation
from billing.calculation.correction import PayerShare, give_back
from billing.calculation.stages.route import route
from billing.calculation.stages.tax import tax
from billing.invoicing import credit_note_documents, invoices
from billing.invoicing.tax_provider import tax_rate_of
from billing.models import (
    CreditNote,
    CycleBurn,
    Invoice,
    InvoiceStatus,
    Settlement,
    SettlementAdjustment,
    SettlementStatus,
    Subscription,
    SubscriptionStatus,
)
from billing.prepaid import arrears
from billing.settlement import bearers, cycle_burns, load
from billing.settlement import write as settlement_writing
from billing.settlement.settled_cycles import get_settlement
from billing.subscriptions import moves
from ledger import approvals, posting_rules
from ledger.entries import entries
from ledger.models import ApprovalAction, Book, LedgerEvent
from pricing.models import BillingMode
from wallets import port
from wallets.holds import reservation_holds
from wallets.lots import queries
from wallets.lots.credit_journal import Burn, CreditJournal
from wallets.lots.credit_journal import EntryBuilder as EntryDraft
from wallets.models import CreditLot
from wallets.operations import idempotency
from wallets.operations.responses import allocated

ADJUST = "billing.settlements.adjust"


class NotSettled(Conflict):
    """The settlement is not settled yet, so there is nothing to correct.

    Wait until it is SETTLED.
    """

    default_code = "not_settled"


@dataclass(frozen=True, slots=True)
class Correction:
    """A line of a correction, before tax: above zero charges more, below zero less."""

    description: str
    amount: Decimal
    charge: str = ""

    @property
    def shown(self) -> dict[str, str]:
        return {
            "description": self.description,
            "amount": money.plain(self.amount),
            "charge": self.charge,
        }


@dataclass(slots=True)
class _Work:
    """An adjustment before it is written; its amounts are above zero where somebody pays more."""

    book: Book
    settlement: Settlement
    made: SettlementAdjustment
    entry: EntryDraft
    lots: list[tuple[CreditLot, Decimal]] = field(default_factory=list)
    notes: list[entries.EntryDraft] = field(default_factory=list)
    noted: list[Callable[[], CreditNote]] = field(default_factory=list)
    issued: list[CreditNote] = field(default_factory=list)

    @property
    def now(self) -> datetime:
        return self.entry.occurred_at

    def write(self) -> None:
        """Write the entries, and the adjustment that they belong to."""
        self.entry.journal.write()
        self.made.save(force_insert=True)
        entries.append(self.notes)
        self.issued = [write() for write in self.noted]


@money.exact
def adjust_settlement(
    *,
    livemode: bool,
    settlement_id: UUID,
    lines: Sequence[Correction],
    reason: str,
    key: str,
    by: str,
) -> Answer:
    """Correct a settled cycle by the sum of the lines, once per key; tax follows by itself.

    Below zero, what is open of arrears and invoices is given back first, then what was paid by
    invoice, as the customer's credit (2210), then money lots, last burned first. Above zero, the
    money credits alive now pay; the rest is invoiced, or in PREPAID becomes arrears. Above a limit
    it waits for approval.
    Raises: UnknownSettlement, NotSettled, InvoiceInDraft; Invalid (`nothing_to_adjust`,
    `not_payable`, `exceeds_settlement`).
    """
    found = get_settlement(livemode=livemode, settlement_id=settlement_id)
    shown = [line.shown for line in lines]

    asked = {"settlement": settlement_id, "lines": shown, "reason": reason}

    def make(book: Book, operation_id: UUID) -> dict[str, object] | Answer:
        settlement = Settlement.objects.select_related(
            "subscription__customer__book", "subscription__version__plan", "subscription__offering"
        ).get(pk=settlement_id)
        net = _asked(settlement, lines)
        waits = approvals.ask_in_book(
            book,
            action=ApprovalAction.ADJUSTMENT,
            operation=ADJUST,
            content={"settlement_id": settlement_id, "lines": shown, "reason": reason, "by": by},
            amount=abs(net),
            currency=settlement.currency,
        )
        if waits is not None:
            return waits
        entry = CreditJournal().entry(
            book=book,
            event=LedgerEvent.ADJUSTMENT,
            occurred_at=now_for(book),
            document={
                "settlement": str(settlement_id),
                "adjustment": str(operation_id),
                "reason": reason,
                "by": by,
                "lines": "; ".join(f"{line['description']}: {line['amount']}" for line in shown),
            },
        )
        made = SettlementAdjustment(
            id=operation_id,
            settlement=settlement,
            lines=shown,
            reason=reason,
            by=by,
            net=net,
            created_at=entry.occurred_at,
            entry_id=entry.id,
        )
        work = _Work(book, settlement, made, entry)
        if net < 0:
            _give_back(work)
        else:
            _charge(work, lines)
        return _describe(work)

    return idempotency.once_in_book(
        book_id=found.book_id,
        asked=KeyedOperation.of(key, ADJUST, asked),
        make=make,
    )


def _asked(settlement: Settlement, lines: Sequence[Correction]) -> Decimal:
    """Return the sum of the lines.

    Raises: NotSettled, Invalid.
    """
    if settlement.status != SettlementStatus.SETTLED:
        raise NotSettled(f"The settlement is {settlement.status}.")
    net = sum((line.amount for line in lines), ZERO)
    if net == 0:
        detail = "The lines sum to zero, which changes nothing."
        raise Invalid([FieldError("/lines", "nothing_to_adjust", detail)])
    if settlement.billing_mode == BillingMode.PREPAID:
        return net
    places = money.exponent(settlement.currency)
    detail = f"Invoices in {settlement.currency} have {places} decimals."
    faults = [
        FieldError(f"/lines/{n}/amount", "not_payable", detail)
        for n, line in enumerate(lines)
        if not money.is_payable(line.amount, settlement.currency)
    ]
    if faults:
        raise Invalid(faults)
    return net


def _give_back(work: _Work) -> None:
    """Return what was charged too much.

    Raises: InvoiceInDraft, Invalid (`exceeds_settlement`).
    """
    _check_final(work.settlement)
    shares, left = give_back(bearers.bearers_of(work.settlement), -work.made.net)
    if left > 0:
        most = money.plain(-work.made.net - left)
        detail = f"At most {most} before tax is left to give back of this settlement."
        raise Invalid([FieldError("/lines", "exceeds_settlement", detail)])
    for share in shares:
        work.made.tax -= share.tax
        if isinstance(share.source, Invoice):
            _credit(work, share.source, share)
        elif isinstance(share.source, CycleBurn):
            _return(work, share.source, share)
        else:
            _forgive(work, share)
    work.write()
    reservation_holds.lapse_returned(work.entry.journal.returned)
    arrears.pay_arrears(work.book)
    # Their numbers come last, because the counter is everybody's.
    for note in work.issued:
        credit_note_documents.issue(book=work.book, note=note)


def _check_final(settlement: Settlement) -> None:
    """Check that the invoice of a settlement can no longer change.

    Raises: InvoiceInDraft.
    """
    if any(each.status == InvoiceStatus.DRAFT for each in bearers.invoices_of(settlement)):
        raise invoices.InvoiceInDraft(
            "The invoice is not final yet; adjust the settlement after that."
        )


def _credit(work: _Work, invoice: Invoice, share: PayerShare) -> None:
    """Lower what is open of an invoice; what was paid of it becomes the customer's credit."""
    credited, returned = bearers.lower(invoice, share.gross)
    note_id = new_id()
    draft = entries.EntryDraft(
        book=work.book,
        event=LedgerEvent.CREDIT_NOTE,
        occurred_at=work.now,
        document={
            "invoice": str(invoice),
            "adjustment": str(work.made.pk),
            "credit_note": str(note_id),
            "reason": work.made.reason,
        },
        lines=posting_rules.credit_note(
            earned=share.net,
            tax=share.tax,
            currency=invoice.currency,
            given_to=(
                (posting_rules.RECEIVABLE, credited),
                (posting_rules.CUSTOMER_CREDIT, returned),
            ),
        ),
    )
    said = "; ".join(line["description"] for line in work.made.lines)[:300]
    work.notes.append(draft)
    work.noted.append(
        partial(
            credit_note_documents.write,
            id=note_id,
            invoice=invoice,
            adjustment=work.made,
            tax=share.tax,
            credited=credited,
            returned=returned,
            lines=[{"description": said, "amount": money.plain(share.net)}],
            reason=work.made.reason,
            now=work.now,
            entry_id=draft.id,
        )
    )
    work.made.receivable -= credited
    work.made.customer_credit -= returned


def _return(work: _Work, burn: CycleBurn, share: PayerShare) -> None:
    """Return credits to the lot that paid."""
    lot = cycle_burns.take_back(work.entry, burn, quantity=share.gross, tax=share.tax)
    returned_lots.note(work.entry, lot, share.gross, work.settlement.subscription)
    work.made.wallet -= share.gross
    work.lots.append((lot, share.gross))


def _forgive(work: _Work, share: PayerShare) -> None:
    bearers.forgive(work.settlement, share)
    work.made.arrears -= share.gross


def _charge(work: _Work, lines: Sequence[Correction]) -> None:
    """Charge more: the stages Tax and Route decide who pays, as at the cycle's end."""
    settlement, made = work.settlement, work.made
    draft = _priced(work, lines)
    payers = {payer.lot: payer for payer in draft.payers if payer.lot is not None}
    lots = CreditLot.objects.select_related("unit_wallet__metric").in_bulk(payers)
    burned = {lot: Burn(payer.gross, tax=payer.tax) for lot, payer in payers.items()}
    cycle_burns.burn_more(work.entry, settlement=settlement, lots=lots, burned=burned)
    settlement_writing.accrue(work.entry, draft)
    made.tax = draft.total - made.net
    made.receivable, made.arrears = draft.to_invoice, draft.arrears
    made.wallet = sum(draft.from_wallet.values(), ZERO)
    work.lots += [(lots[lot], burn.quantity) for lot, burn in burned.items()]
    work.write()
    if draft.arrears > 0:
        _owe(work, draft)
    if draft.is_rounded:
        invoice = invoices.draft_invoice(
            customer=settlement.subscription.customer,
            settlement=settlement,
            draft=draft,
            adjustment=made,
        )
        invoices.issue(
            book=work.book, invoice=invoice, lines=invoices.posted(invoice), now=work.now
        )
    port.billing().credits_fell([work.book.pk])


def _priced(work: _Work, lines: Sequence[Correction]) -> Calculation:
    settlement = work.settlement
    version = settlement.subscription.version
    draft = Calculation(
        currency=settlement.currency,
        billing_mode=settlement.billing_mode,
        period=Period(settlement.starts_at, settlement.ends_at),
        lines=tuple(
            CalculatedLine("ADJUSTMENT", line.description, line.amount, charge=line.charge)
            for line in lines
        ),
        subtotal=work.made.net,
        tax_rate=tax_rate_of(
            settlement.subscription.customer, load.tax_point(settlement), version.tax_class
        ),
        money_order=tuple(version.burn_order),
    )
    alive = [lot for lot in queries.open_lots([work.book.pk]) if queries.is_alive(lot, work.now)]
    return route(tax(load.with_credits(draft, book=work.book, lots=alive)))


def _owe(work: _Work, draft: Calculation) -> None:
    """Add what PREPAID credits do not cover to the arrears, which suspends the customer."""
    settlement = work.settlement
    settlement.arrears += draft.arrears
    settlement.arrears_tax += sum((p.tax for p in draft.payers if p.kind == bearers.ARREARS), ZERO)
    settlement.save(update_fields=["arrears", "arrears_tax"])
    running = Subscription.objects.filter(
        pk=settlement.subscription_id, status=SubscriptionStatus.ACTIVE
    )
    for subscription in running.select_related("offering"):
        with moves.because("A correction that credits do not cover"):
            moves.move(
                book=work.book,
                subscription=subscription,
                to=SubscriptionStatus.SUSPENDED,
                at=work.now,
            )


def _describe(work: _Work) -> dict[str, object]:
    made = work.made
    invoice = Invoice.objects.filter(adjustment=made).first()
    return {
        "id": made.pk,
        "settlement": made.settlement_id,
        "customer_id": work.book.key,
        "currency": work.settlement.currency,
        "lines": made.lines,
        "net": made.net,
        "tax": made.tax,
        "total": made.net + made.tax,
        "receivable": made.receivable,
        "customer_credit": made.customer_credit,
        "arrears": made.arrears,
        "wallet": made.wallet,
        "allocations": [allocated(lot, quantity) for lot, quantity in work.lots],
        "invoice": None if invoice is None else invoice.number,
        "credit_notes": [note.number for note in work.issued],
        "reason": made.reason,
        "by": made.by,
        "entry": made.entry_id,
        "occurred_at": made.created_at,
    }
