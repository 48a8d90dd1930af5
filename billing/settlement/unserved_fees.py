"""Unserved fees: what a change of plan in the middle of a period gives back of the fee that was
paid in advance, in proportion to the time that is left.

Each payer gets back its share: lots what they paid, and what was invoiced is owed to the customer,
and used by the document of the new plan's fee. All of it leaves 2120. Where the old fee has less
there than is given back, because it became the consideration of credits, which stay with the
customer, the new fee makes it up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Sum

from aforo import money
from aforo.money import ZERO
from aforo.periods import Period
from billing.calculation import proration
from billing.calculation.proration import PeriodShare
from billing.invoicing.tax_provider import tax_rate_of
from billing.models import AdvanceFee, CycleBurn, Subscription
from billing.settlement import cycle_burns, late_credits
from billing.subscriptions import advance_fees, plan_credits, plan_terms
from ledger import posting_rules
from ledger.entries import entries
from ledger.models import Book, LedgerEvent, Posting
from pricing.models import BillingMode
from wallets.lots.credit_journal import Burn, CreditJournal
from wallets.lots.credit_journal import EntryBuilder as EntryDraft


@dataclass(frozen=True, slots=True)
class GivenBack:
    """What was given back of a fee, net: owed for what was invoiced, and credits in lots; and how
    much of it the new fee is to make up.
    """

    owed: Decimal = ZERO
    credits: Decimal = ZERO
    short: Decimal = ZERO


NOTHING = GivenBack()


def give_back(*, book: Book, subscription: Subscription, at: datetime) -> GivenBack:
    """Return to each payer what a moment leaves unserved of the fee of the open period; what is
    left of it is earned then. The subscription is on its new plan, and the book must be locked.
    """
    fee = _fee_at(subscription, at)
    if fee is None:
        return NOTHING
    advance_fees.recognise_fees(book=book, until=at)
    fee.refresh_from_db()
    unserved = proration.share_of(Period(at, fee.ends_at), Period(fee.starts_at, fee.ends_at))
    entry = CreditJournal().entry(
        book=book,
        event=LedgerEvent.ADJUSTMENT,
        occurred_at=at,
        document={
            "settlement": str(fee.settlement_id),
            "subscription": str(subscription.pk),
            "reason": _reason(fee, at),
        },
    )
    returned = _to_lots(entry, fee, unserved)
    owed = _owed(subscription, fee, unserved)
    entry.lines += posting_rules.unserved_fee_owed(amount=owed, currency=fee.currency)
    if entry.lines or entry.movements:
        entry.journal.write()
    if owed > 0:
        billed = plan_terms.of_cycle(subscription, fee.cycle).version
        late_credits.owe(
            cycle=fee.settlement,
            description=_reason(fee, at),
            amount=owed,
            tax_rate=tax_rate_of(subscription.customer, fee.starts_at, billed.tax_class),
            at=at,
            entry_id=entry.id,
        )
    return GivenBack(owed, returned, _end(book, fee, at, _from_fees(entry)))


def _fee_at(subscription: Subscription, at: datetime) -> AdvanceFee | None:
    fees = AdvanceFee.objects.filter(
        subscription=subscription, starts_at__lte=at, ends_at__gt=at + advance_fees.INSTANT
    )
    return fees.select_related("settlement__entry").order_by("-cycle").first()


def _reason(fee: AdvanceFee, at: datetime) -> str:
    return f"Fee given back for {at:%Y-%m-%d} to {fee.ends_at:%Y-%m-%d}"


def _to_lots(entry: EntryDraft, fee: AdvanceFee, unserved: PeriodShare) -> Decimal:
    """Return to each lot the unserved share of what it paid of a fee, with the tax in it; return
    the sum of them.
    """
    paid = {
        lot: row
        for lot, row in cycle_burns.by_lot(settlement=fee.settlement).items()
        if row.advance_fee > 0
    }
    lots, returned = cycle_burns.read_lots(paid), ZERO
    for lot_id, row in paid.items():
        lot, before = lots[lot_id], Burn(row.quantity, row.carrying, row.tax, row.advance_fee)
        after = _served(row, unserved)
        stands = entry.burn_to(lot, after, before=before)
        returned += before.quantity - after.quantity
        if lot.expires_at is not None and lot.expires_at <= entry.occurred_at:
            cycle_burns.return_to_lapsed(entry, lot, ends_at=fee.ends_at)
        row.quantity, row.carrying, row.tax = stands.quantity, stands.carrying, stands.tax
        row.advance_fee, row.kept = stands.advance_fee, min(row.kept, stands.quantity)
    cycle_burns.write_rows([*paid.values()])
    return returned


def _served(row: CycleBurn, unserved: PeriodShare) -> Burn:
    """Return a burn less the unserved share of the fee in it, with that share of the tax."""
    net = unserved.of(row.advance_fee)
    tax = money.proportion(row.tax, net, row.quantity - row.tax) if row.tax else ZERO
    return Burn(row.quantity - net - tax, tax=row.tax - tax, advance_fee=row.advance_fee - net)


def _owed(subscription: Subscription, fee: AdvanceFee, unserved: PeriodShare) -> Decimal:
    """Return the unserved share of what was invoiced of a fee, and not yet taken back by a note."""
    first = fee.settlement.entry
    if subscription.billing_mode == BillingMode.PREPAID or first is None:
        return ZERO
    # A settlement writes one entry, or two: the second has the fees in advance.
    invoiced = Posting.objects.filter(
        entry__book=fee.book_id,
        entry__sequence__in=[first.sequence, first.sequence + 1],
        entry__document__settlement=str(fee.settlement_id),
        debit=posting_rules.UNBILLED,
        credit=posting_rules.PLAN_FEES,
    ).aggregate(sum=Sum("amount", default=ZERO))["sum"]
    left = min(invoiced, fee.amount + _in_credits(subscription, fee))
    return money.round_amount(unserved.of(left), fee.currency)


def _in_credits(subscription: Subscription, fee: AdvanceFee) -> Decimal:
    """Return how much of a fee became the consideration of the credits of its cycle."""
    period = plan_credits.grant_period(subscription)
    is_stub = any(each.cycle == fee.cycle for each in plan_terms.dividing(subscription, period))
    lots = plan_credits.plan_lots(subscription).filter(
        effective_at__gte=fee.starts_at, grant_part=fee.cycle if is_stub else 0
    )
    total: Decimal = lots.aggregate(sum=Sum("carrying", default=ZERO))["sum"]
    return total


def _from_fees(entry: EntryDraft) -> Decimal:
    """Return how much an entry took from fees in advance."""
    taken = (line.amount for line in entry.lines if line.debit == posting_rules.PLAN_FEES)
    return sum(taken, ZERO)


def _end(book: Book, fee: AdvanceFee, at: datetime, taken: Decimal) -> Decimal:
    """Lower a fee by what was given back, and recognise what is left of it, now that it is served;
    return how much more was given back than it had.
    """
    lowered = min(taken, fee.amount - fee.recognised)
    fee.amount -= lowered
    fee.ends_at = max(at, fee.starts_at + advance_fees.INSTANT)
    fee.save(update_fields=["amount", "ends_at"])
    advance_fees.recognise_fees(book=book, until=at + advance_fees.INSTANT)
    return taken - lowered


def make_up(*, book: Book, subscription: Subscription, given: GivenBack, at: datetime) -> None:
    """Lower the fee of the open cycle by what the old one could not give back; what that does not
    cover takes back revenue. The book must be locked.
    """
    if given.short == 0:
        return
    left, plan = given.short, subscription.version.plan
    fee = AdvanceFee.objects.filter(subscription=subscription, cycle=subscription.cycle).first()
    if fee is not None:
        lowered = min(left, fee.amount - fee.recognised)
        fee.amount -= lowered
        fee.save(update_fields=["amount"])
        left -= lowered
    if left > 0:
        facts: Mapping[str, str] = {"subscription": str(subscription.pk), "product": plan.code}
        entries.append(
            [
                entries.EntryDraft(
                    book=book,
                    event=LedgerEvent.FEE_RECOGNISED,
                    occurred_at=at,
                    document={**facts, "reason": "Given back beyond the fee in advance"},
                    lines=posting_rules.fee_returned(amount=left, currency=plan.currency),
                )
            ]
        )
