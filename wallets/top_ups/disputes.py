"""Disputes: payments that the payer contests freeze what they bought, then free or revoke it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import F, Sum

from aforo import money, payable
from aforo.errors import Conflict, FieldError, Invalid
from aforo.money import ZERO
from aforo.protocol.idempotency import Answer
from aforo.sandbox.services import now_for
from aforo.webhooks.models import EventType
from ledger import posting_rules
from ledger.models import Book, LedgerEvent
from pricing.campaigns import campaigns
from wallets import outbox, port
from wallets.lots import queries
from wallets.lots.cost_basis import remaining_carrying
from wallets.lots.credit_journal import CreditJournal, EntryBuilder
from wallets.models import (
    AutoRefill,
    CampaignGrant,
    CreditLot,
    DisputeState,
    Movement,
    MovementKind,
    TopUp,
    TopUpStatus,
)
from wallets.operations import idempotency
from wallets.top_ups import sale_tax, ways
from wallets.top_ups.sales import get_top_up

DISPUTE = "wallets.top_ups.dispute"
# Which state a dispute may come from.
_BEFORE = {
    DisputeState.OPENED: "",
    DisputeState.WON: DisputeState.OPENED,
    DisputeState.LOST: DisputeState.OPENED,
}


class NotDisputable(Conflict):
    """Nothing of this top-up can be disputed: no payment was taken, or all of it was refunded.

    Do not repeat it.
    """

    default_code = "not_disputable"


class WrongDisputeState(Conflict):
    """The dispute cannot go from the state it is in to the one asked for.

    Open it first; won and lost are final.
    """

    default_code = "dispute_state"


@dataclass(frozen=True, slots=True)
class Notice:
    """A step of a dispute, as the processor says it: what is contested (opened; all that is not
    refunded where it says nothing) or lost (all that is contested), and what the dispute costs by
    now, in all.
    """

    state: DisputeState
    amount: Decimal | None = None
    fee: Decimal | None = None

    @property
    def content(self) -> dict[str, object]:
        """Return what a repeat under the same key must contain again."""
        said = {"amount": self.amount, "fee": self.fee}
        given = {name: value for name, value in said.items() if value is not None}
        return {"state": self.state.value, **given}


@dataclass(frozen=True, slots=True)
class _Lost:
    """What a step loses for credits that were spent, and what is claimed for it: the money, or the
    credits of a unit (docs/decisions.md#d641).
    """

    money: Decimal = ZERO
    claimed: Decimal = ZERO


@money.exact
def dispute(
    *,
    livemode: bool,
    top_up_id: UUID,
    state: str,
    key: str,
    amount: Decimal | None = None,
    fee: Decimal | None = None,
) -> Answer:
    """Record a dispute of a top-up's payment: opened, then won or lost (docs/decisions.md#d31).

    Opened: what is free of its lots freezes. Won: it can be spent again. Lost: what was contested
    is revoked as far as it is free, and billing claims from the customer what was spent of it, and
    suspends.

    Raises: UnknownTopUp, NotDisputable, WrongDisputeState, Invalid (`not_payable`,
    `out_of_range`).
    """
    found = get_top_up(livemode=livemode, top_up_id=top_up_id)
    notice = Notice(DisputeState(state), amount, fee)

    def make(book: Book, _: UUID) -> dict[str, object]:
        bought = get_top_up(livemode=livemode, top_up_id=top_up_id)
        _check(bought, notice)
        bought.book = book
        now = now_for(book)
        journal = CreditJournal()
        draft = journal.entry(
            book=book,
            event=LedgerEvent.DISPUTE,
            occurred_at=now,
            document={"key": key, "top_up": str(bought.id), "state": state},
        )
        lost = _STEPS[notice.state](bought, draft, notice.amount, now)
        owed = lost.claimed
        _take_fee(bought, draft, notice.fee)
        draft.document["disputed"] = money.plain(bought.disputed)
        draft.document["fee"] = money.plain(bought.dispute_fee)
        journal.write()
        bought.dispute = state
        bought.save(update_fields=["dispute", "disputed", "dispute_fee"])
        facts = {
            "top_up": bought.id,
            "state": state,
            "disputed": bought.disputed,
            "fee": bought.dispute_fee,
        }
        outbox.notify(book, EventType.TOP_UP_DISPUTED, facts, now)
        if owed > 0:
            port.billing().credits_lost(book, bought, owed, lost.money)
        elif state != DisputeState.OPENED:
            port.billing().credits_arrived(book)
        lots = CreditLot.objects.filter(top_up=bought).select_related("unit_wallet__metric")
        return {
            "id": bought.id,
            "customer_id": book.key,
            "dispute": state,
            "disputed": bought.disputed,
            "fee": bought.dispute_fee,
            "currency": bought.currency,
            "owed": owed,
            "lots": [queries.describe_lot(lot) for lot in lots.order_by("id")],
            "entry": draft.id,
        }

    return idempotency.once(
        livemode=livemode,
        customer_id=found.book.key,
        key=key,
        operation=DISPUTE,
        content={"top_up": top_up_id, **notice.content},
        make=make,
        status=200,
    )


def _check(bought: TopUp, notice: Notice) -> None:
    if bought.status != TopUpStatus.SUCCEEDED or bought.paid_at is None:
        raise NotDisputable("Only a payment that was taken can be disputed.")
    if bought.dispute != _BEFORE[notice.state]:
        now = bought.dispute or "not disputed"
        raise WrongDisputeState(f"The top-up is {now}, so its dispute cannot be {notice.state}.")
    for pointer, value in (("/amount", notice.amount), ("/fee", notice.fee)):
        if value is not None:
            payable.check(value, bought.currency, pointer=pointer)
    if notice.state == DisputeState.OPENED and bought.refunded >= bought.amount:
        raise NotDisputable("All of it has been refunded already.")
    most = _at_most(bought, notice.state)
    if notice.amount is not None and not ZERO < notice.amount <= most:
        detail = f"At most {money.plain(most)} can be {notice.state}."
        raise Invalid([FieldError("/amount", "out_of_range", detail)])


def _at_most(bought: TopUp, state: DisputeState) -> Decimal:
    """Return how much a step may name: what is not refunded, what is contested; of a dispute that
    is won all of it, so it names nothing.
    """
    match state:
        case DisputeState.OPENED:
            return bought.left
        case DisputeState.LOST:
            return bought.disputed
    return ZERO


def _take_fee(bought: TopUp, draft: EntryBuilder, fee: Decimal | None) -> None:
    """Post what the dispute costs by now beyond what it did, or what is given back of that."""
    if fee is not None:
        draft.lines += posting_rules.dispute_fee(
            change=fee - bought.dispute_fee,
            currency=bought.currency,
            paid_into=ways.account_of(bought),
        )
        bought.dispute_fee = fee


def _open(bought: TopUp, draft: EntryBuilder, amount: Decimal | None, now: datetime) -> _Lost:
    """Freeze the lots, spent ones too, so that what returns to them is frozen as well, and switch
    off the customer's automatic refills in this currency.

    What was refunded before is not contested. All lots freeze whatever part is contested: which
    credits it was paid for nobody says.
    """
    bought.disputed = bought.left if amount is None else amount
    CreditLot.objects.filter(top_up=bought).update(frozen_at=now)
    AutoRefill.objects.filter(
        book=bought.book, wallet__currency=bought.counted_in, switched_off_at=None
    ).update(switched_off_at=now)
    draft.lines += posting_rules.dispute_opened(
        amount=bought.disputed, currency=bought.currency, paid_into=ways.account_of(bought)
    )
    return _Lost()


def _win(bought: TopUp, draft: EntryBuilder, _amount: Decimal | None, _now: datetime) -> _Lost:
    """Unfreeze the lots; one that has expired meanwhile lapses with the next sweep."""
    CreditLot.objects.filter(top_up=bought).update(frozen_at=None)
    _give_back(bought, draft, bought.disputed)
    return _Lost()


def _give_back(bought: TopUp, draft: EntryBuilder, amount: Decimal) -> None:
    draft.lines += posting_rules.dispute_won(
        amount=amount, currency=bought.currency, paid_into=ways.account_of(bought)
    )


def _lose(bought: TopUp, draft: EntryBuilder, amount: Decimal | None, _now: datetime) -> _Lost:
    """Revoke what was contested, as far as it is free; return what was earned and stays unpaid.

    What is held counts as spent: captures are honoured, and what is released pays the claim. What
    was contested beyond the loss comes back.
    """
    lost = bought.disputed if amount is None else amount
    _give_back(bought, draft, bought.disputed - lost)
    refunded = queries.refunded_carrying([bought.id]).get(bought.id, ZERO)
    is_whole = lost == bought.left
    bought.disputed = lost
    # Of the whole payment what credits carry is lost, to the last place of the books.
    net = bought.amount - refunded
    if not is_whole:
        net = money.proportion(lost, bought.amount, bought.total)
    revoked, owed = _revoke(bought, draft, net)
    CreditLot.objects.filter(top_up=bought).update(frozen_at=None)
    returned = sum((part.carrying for part in revoked), ZERO)
    tax = _return_tax(bought, draft, revoked, returned)
    claimed = ZERO
    if bought.credit_unit and owed > 0:
        spent, carried = _spent_credits(bought, draft), bought.amount - refunded - returned
        claimed = money.proportion(spent, owed, carried)
    # The tax of what was spent stays owed to the state: it is lost, and claimed, with the rest.
    lost_tax = bought.tax - bought.tax_refunded if is_whole else lost - net
    owed += max(lost_tax - tax, ZERO)
    draft.lines += posting_rules.dispute_lost(
        unused=revoked,
        earned=owed,
        currency=bought.currency,
        kept=lost - owed - returned - tax,
    )
    return _Lost(owed, claimed if bought.credit_unit else owed)


def _spent_credits(bought: TopUp, draft: EntryBuilder) -> Decimal:
    """Count the credits that were bought and neither paid back nor revoked, now included."""
    lots = CreditLot.objects.filter(top_up=bought)
    gone = [MovementKind.REFUND, MovementKind.ADJUST]
    before = Movement.objects.filter(lot__in=lots, kind__in=gone).aggregate(sum=Sum("quantity"))
    face = lots.aggregate(sum=Sum("face"))["sum"] or ZERO
    revoked = (each.quantity for each in draft.movements if each.kind == MovementKind.ADJUST)
    return face - (before["sum"] or ZERO) - sum(revoked, ZERO)


def _return_tax(
    bought: TopUp,
    draft: EntryBuilder,
    revoked: Sequence[posting_rules.LotPart],
    returned: Decimal,
) -> Decimal:
    """Post that the tax at sale of unused credits goes back with them; return how much."""
    tax = min(sale_tax.of_part(bought, returned), bought.tax - bought.tax_refunded)
    draft.lines += posting_rules.sale_tax_returned(
        tax=tax, currency=bought.currency, paid_from=posting_rules.DISPUTED
    )
    if tax > 0:
        draft.document |= sale_tax.facts(
            bought, CreditLot.objects.filter(pk__in=[part.lot for part in revoked])
        )
    return tax


def _revoke(
    bought: TopUp, draft: EntryBuilder, lost: Decimal
) -> tuple[list[posting_rules.LotPart], Decimal]:
    """Revoke free credits that carry what was lost, of each lot the same part; return what they
    gave up, and what was lost beyond all that is free.

    Of 100 + 20 for 100.00, all free, 50 lost are 50 cash and 10 bonus; with 60 of 100 used, 40.
    """
    found = CreditLot.objects.filter(top_up=bought, remaining__gt=F("held"))
    lots = list(found.order_by("id"))
    free = sum((_carried_by_free(lot) for lot in lots), ZERO)
    taken = {lot.id: lot.remaining - lot.held for lot in lots}
    if free > lost:
        taken = {id_: money.proportion(all_, lost, free) for id_, all_ in taken.items()}
    return_to_campaigns(taken)
    revoked = [draft.revoke(lot, taken[lot.id]) for lot in lots if taken[lot.id] > 0]
    return revoked, max(lost - free, ZERO)


def _carried_by_free(lot: CreditLot) -> Decimal:
    """Return what a lot would give up if all that is free of it were taken."""
    kept = remaining_carrying(carrying=lot.carrying, face=lot.face, remaining=lot.held)
    return lot.carrying_remaining - kept


def return_to_campaigns(taken: Mapping[UUID, Decimal]) -> None:
    """Return to the campaigns' budgets the part of their bonus that is revoked unspent, by lot
    (docs/decisions.md#d39).
    """
    given = CampaignGrant.objects.filter(lot__in=taken).order_by("campaign_id")
    for campaign_id, lot_id in given.values_list("campaign_id", "lot_id"):
        if taken[lot_id] > 0:
            campaigns.return_to_budget(campaign_id=campaign_id, quantity=taken[lot_id])


_STEPS = {DisputeState.OPENED: _open, DisputeState.WON: _win, DisputeState.LOST: _lose}
