"""Stage 10, Settle, the only one that writes: burns, entry, what is due, and the settlement
itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType

from django.db.models import F

from aforo import money
from aforo.database import bulk
from aforo.errors import InvariantBroken
from aforo.money import ZERO, plain
from aforo.periods import Period
from aforo.webhooks.models import EventType
from billing.calculation import arrears_payment, credit_application, presentation
from billing.calculation.calculation import Calculation, Payer, StageTrace, changed
from billing.models import AdvanceFee, LateCredit, Settlement, SettlementKind, SettlementStatus
from billing.settlement import cycle_burns
from ledger import posting_rules
from ledger.models import Book, LedgerEvent
from wallets import outbox
from wallets.lots import queries, waterfall
from wallets.lots.credit_journal import Burn, CreditJournal
from wallets.lots.credit_journal import EntryBuilder as EntryDraft
from wallets.models import CreditLot, Debit

# Who bears what is unbilled.
INVOICE, CREDIT = "INVOICE", "CREDIT"
_SETTLED = [
    "status", "settled_at", "run_id", "arrears", "arrears_tax", "stages", "totals", "content",
    "rolled_on", "entry_id",
]  # fmt: skip


def settle(
    *,
    book: Book,
    settlement: Settlement,
    draft: Calculation,
    now: datetime,
    next_period: Period,
    rolled_on: Mapping[str, Sequence[Decimal]] = MappingProxyType({}),
) -> None:
    """Write a settled cycle in an entry dated at its end, and the fees in advance of `next_period`
    in one dated when that begins; an opening at `now`. The book must be locked.

    Needs: payers, burns. Gives: movements, postings, the settlement with its trace, the fees in
    advance. Keeps: the burns of the cycle, before and now, are those of Route, lot by lot. What
    returns to a paid lot that has lapsed lives on to the end of `next_period`.
    """
    is_cycle = settlement.kind == SettlementKind.CYCLE
    journal = CreditJournal()
    document = {
        "settlement": str(settlement.pk),
        "subscription": str(settlement.subscription_id),
        "kind": str(settlement.kind),
        "cycle": str(settlement.cycle),
        **presentation.facts(draft, product=settlement.subscription.version.plan.code),
    }
    entry = journal.entry(
        book=book,
        event=LedgerEvent.SETTLEMENT,
        occurred_at=settlement.ends_at if is_cycle else now,
        document={
            **document,
            "total": plain(draft.total),
            "to_invoice": plain(draft.to_invoice),
            "arrears": plain(draft.arrears),
            **_late(draft),
        },
        at_period_end=is_cycle,
    )
    _burn(entry, settlement, draft, next_period.ends_at, ahead=not is_cycle)
    accrue(entry, draft)
    written = [entry]
    if is_cycle and draft.in_advance > 0:
        journal.write()
        written.append(
            journal.entry(
                book=book,
                event=LedgerEvent.SETTLEMENT,
                occurred_at=settlement.ends_at,
                document={**document, "in_advance": plain(draft.in_advance)},
            )
        )
        cycle_burns.burn_ahead(written[-1], settlement=settlement, draft=draft)
    written[-1].lines += ahead_unbilled(draft)
    journal.write()
    for overage in draft.overages:
        Debit.objects.filter(pk=overage.debit).update(
            overage_billed=F("overage_billed") + overage.amount
        )
    for line in draft.lines:
        if line.credit is not None:
            LateCredit.objects.filter(pk=line.credit).update(used=F("used") - line.amount)
        elif line.adjusts is not None:
            Settlement.objects.filter(pk=line.adjusts).update(
                late_adjusted=F("late_adjusted") + line.amount
            )
    settlement.status = SettlementStatus.SETTLED
    settlement.settled_at = now
    settlement.arrears = draft.arrears
    settlement.arrears_tax = sum((p.tax for p in draft.payers if p.kind == "ARREARS"), ZERO)
    _present(settlement, _finished(draft, written), next_period)
    settlement.rolled_on = {code: [*map(plain, rolled)] for code, rolled in rolled_on.items()}
    settlement.entry_id = entry.id
    bulk.update_rows(
        Settlement,
        "id",
        _SETTLED,
        [[settlement.pk, *(getattr(settlement, name) for name in _SETTLED)]],
    )
    _keep_fee(written, settlement, next_period)
    _notify(book, settlement, draft)


def _present(settlement: Settlement, draft: Calculation, next_period: Period) -> None:
    """Set what a settlement shows; PREPAID is its own document, an invoice has its own."""
    settlement.stages = presentation.stages(draft)
    settlement.totals = presentation.totals(draft)
    settlement.content = None if draft.is_rounded else presentation.content(draft, next_period)


def _notify(book: Book, settlement: Settlement, draft: Calculation) -> None:
    """Write the notice of a settled cycle, dated at its end; none of an opening."""
    if settlement.kind != SettlementKind.CYCLE:
        return
    facts = {
        "settlement": settlement.pk,
        "subscription": settlement.subscription_id,
        "starts_at": settlement.starts_at,
        "ends_at": settlement.ends_at,
        "total": draft.total,
        "to_invoice": draft.to_invoice,
        "arrears": draft.arrears,
    }
    outbox.notify(book, EventType.SETTLEMENT_COMPLETED, facts, settlement.ends_at)


def _burn(
    entry: EntryDraft,
    settlement: Settlement,
    draft: Calculation,
    next_ends_at: datetime,
    *,
    ahead: bool,
) -> None:
    """Burn units, then money with the tax that each payer's part holds, net of earlier burns."""

    def given_back(lot: CreditLot) -> None:
        if lot.expires_at is not None and lot.expires_at < settlement.ends_at:
            cycle_burns.return_to_lapsed(entry, lot, ends_at=next_ends_at)

    cycle_burns.adjust_to(
        entry,
        settlement=settlement,
        draft=draft,
        may_lower=lambda lot: True,
        given_back=given_back,
        spares_kept=False,
        ahead=ahead,
    )


def accrue(entry: EntryDraft, draft: Calculation) -> None:
    """Post what goes to the invoice as unbilled, with its share of fees, commitment and rounding;
    and the credits owed to the customer that were used here, which count as paid; and what rounding
    the tax left. Fees in advance are left to `ahead_unbilled`.

    Arrears post nothing until they are paid: collection is not probable.
    """
    entry.lines += posting_rules.tax_rounded(residue=draft.bonus_residue, currency=draft.currency)
    for payer in _unbilled(draft):
        residue = _residue(draft, payer)
        fees, commitment, ahead = _parts(draft, payer)
        entry.lines += posting_rules.usage_uncovered(
            net=payer.net - residue - ahead,
            fees=fees,
            commitment=commitment,
            currency=draft.currency,
        )
        entry.lines += posting_rules.rounding(residue=residue, currency=draft.currency)
        if payer.kind == CREDIT:
            entry.lines += posting_rules.owed_credit_used(
                amount=payer.net - ahead, currency=draft.currency
            )


def ahead_unbilled(draft: Calculation) -> list[posting_rules.PostingLine]:
    """Return what the fees in advance that no credit paid post."""
    lines = list[posting_rules.PostingLine]()
    for payer in _unbilled(draft):
        *_, ahead = _parts(draft, payer)
        lines += posting_rules.usage_uncovered(
            net=ahead, fees=ZERO, commitment=ZERO, advance_fees=ahead, currency=draft.currency
        )
        if payer.kind == CREDIT:
            lines += posting_rules.owed_credit_used(amount=ahead, currency=draft.currency)
    return lines


def _unbilled(draft: Calculation) -> list[Payer]:
    """Return the payers whose part is unbilled: the invoice, and the credits owed that were used
    here.
    """
    owed = Payer(CREDIT, draft.credited, draft.credited, ZERO)
    due = [payer for payer in draft.payers if payer.kind == INVOICE]
    return [*due, owed] if draft.credited > 0 else due


def _residue(draft: Calculation, payer: Payer) -> Decimal:
    """Return the residue of rounding the document, which the invoice has."""
    return min(draft.rounding, payer.net) if payer.kind == INVOICE else ZERO


def _parts(draft: Calculation, payer: Payer) -> list[Decimal]:
    """Return the parts of a payer's net that are fees in arrears, commitment, and fees in
    advance.
    """
    fees = [line for line in draft.lines if line.kind == "FEE" and not line.in_advance]
    commitment = [line for line in draft.lines if line.kind == "COMMIT"]
    left, parts = payer.net - _residue(draft, payer), list[Decimal]()
    for lines in (fees, commitment, credit_application.of_next_cycle(draft)):
        parts.append(min(credit_application.share_of(draft, payer, lines), left))
        left -= parts[-1]
    return parts


def _keep_fee(written: Sequence[EntryDraft], settlement: Settlement, period: Period) -> None:
    """Record the fee that was posted in advance of a period, to be earned by its days."""
    lines = (line for entry in written for line in entry.lines)
    owed = sum((line.amount for line in lines if line.credit == posting_rules.PLAN_FEES), ZERO)
    if owed == 0:
        return
    is_cycle = settlement.kind == SettlementKind.CYCLE
    AdvanceFee.objects.create(
        settlement=settlement,
        book_id=settlement.book_id,
        subscription_id=settlement.subscription_id,
        cycle=settlement.cycle + 1 if is_cycle else settlement.cycle,
        starts_at=period.starts_at,
        ends_at=period.ends_at,
        currency=settlement.currency,
        amount=owed,
        recognised_through=period.starts_at,
    )


def _finished(draft: Calculation, written: Sequence[EntryDraft]) -> Calculation:
    """Add the trace of the tenth stage."""
    trace = StageTrace(
        stage=10,
        title="Settle",
        given={"total": plain(draft.total)},
        found={
            "from_wallet": plain(sum(draft.from_wallet.values(), ZERO)),
            "to_invoice": plain(draft.to_invoice),
            "arrears": plain(draft.arrears),
        },
        notes=tuple(
            f"Entry {entry.id}: {len(entry.movements)} movements, {len(entry.lines)} postings."
            for entry in written
        ),
    )
    return changed(draft, trace=(*draft.trace, trace))


@money.exact
def pay_arrears(*, book: Book, settlement: Settlement, now: datetime) -> Decimal:
    """Pay a settlement's arrears from the money credits alive now; return how much was paid.

    An ordinary burn, in burn order; what was taxed at sale pays net, and the tax beside it is not
    owed again. The book must be locked.
    """
    owed = settlement.arrears - settlement.arrears_paid
    version = settlement.subscription.version
    lots = {
        lot.id: lot
        for lot in queries.open_lots([book.pk]).filter(wallet__currency=settlement.currency)
        if queries.is_alive(lot, now)
    }
    tax_left = open_tax(settlement)
    parts = arrears_payment.parts(
        waterfall.in_burn_order(map(queries.seen_by_waterfall, lots.values()), version.burn_order),
        owed=owed,
        tax=tax_left,
        taxed={lot.id for lot in lots.values() if lot.taxed_at_sale},
    )
    if not parts:
        return ZERO
    covered = sum((part.covers for part in parts), ZERO)
    journal = CreditJournal()
    entry = journal.entry(
        book=book,
        event=LedgerEvent.SETTLEMENT,
        occurred_at=now,
        document={
            "settlement": str(settlement.pk),
            "arrears_paid": plain(covered),
        },
    )
    burned = {
        part.lot: Burn(
            part.quantity,
            tax=ZERO
            if lots[part.lot].taxed_at_sale
            else money.proportion(tax_left, part.quantity, owed),
        )
        for part in parts
    }
    cycle_burns.burn_more(entry, settlement=settlement, lots=lots, burned=burned)
    journal.write()
    settlement.arrears_paid += covered
    settlement.save(update_fields=["arrears_paid"])
    return covered


def _late(draft: Calculation) -> dict[str, list[dict[str, str]]]:
    """Return the settled cycles whose usage came late, and what each owes more."""
    lines = [line for line in draft.lines if line.adjusts is not None and line.credit is None]
    if not lines:
        return {}
    cycles = Settlement.objects.in_bulk([line.adjusts for line in lines])
    late = [
        {
            "settlement": str(cycle.pk),
            "until": cycle.ends_at.isoformat(),
            "net": plain(line.amount),
            "currency": draft.currency,
        }
        for line in lines
        if (cycle := cycles.get(line.adjusts)) is not None
    ]
    return {"late": late}


def open_tax(settlement: Settlement) -> Decimal:
    """Return the tax in the open arrears."""
    if settlement.arrears == 0:
        raise InvariantBroken("There are no arrears to pay.")
    owed = settlement.arrears - settlement.arrears_paid
    return money.proportion(settlement.arrears_tax, owed, settlement.arrears)
