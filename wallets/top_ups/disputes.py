"""Disputes: payments that the payer contests freeze what they bought, then free or revoke it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import F

from aforo import money
from aforo.errors import Conflict
from aforo.money import ZERO
from aforo.protocol.idempotency import Answer
from aforo.sandbox.services import now_for
from aforo.webhooks.models import EventType
from ledger import posting_rules
from ledger.models import Book, LedgerEvent
from pricing.campaigns import campaigns
from pricing.models import CreditKind
from wallets import outbox, port
from wallets.lots import queries, waterfall
from wallets.lots.consideration_tax import tax_within
from wallets.lots.credit_journal import CreditJournal, EntryBuilder
from wallets.lots.tax_rates import rate_in
from wallets.models import (
    AutoRefill,
    CampaignGrant,
    CreditLot,
    Debit,
    DisputeState,
    TopUp,
    TopUpChannel,
    TopUpStatus,
)
from wallets.operations import idempotency
from wallets.top_ups.sales import get_top_up

DISPUTE = "wallets.top_ups.dispute"
_PAY_CLAIMS = (CreditKind.BONUS, CreditKind.CASH)
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


def dispute(*, livemode: bool, top_up_id: UUID, state: str, key: str) -> Answer:
    """Record a dispute of a top-up's payment: opened, then won or lost (docs/decisions.md#d31).

    Opened: what is free of its lots freezes. Won: it can be spent again. Lost: it is revoked, and
    billing claims from the customer what was spent of it, and suspends.

    Raises: UnknownTopUp, NotDisputable, WrongDisputeState.
    """
    found = get_top_up(livemode=livemode, top_up_id=top_up_id)

    def make(book: Book, _: UUID) -> dict[str, object]:
        bought = get_top_up(livemode=livemode, top_up_id=top_up_id)
        _check(bought, DisputeState(state))
        bought.book = book
        now = now_for(book)
        journal = CreditJournal()
        draft = journal.entry(
            book=book,
            event=LedgerEvent.DISPUTE,
            occurred_at=now,
            document={"key": key, "top_up": str(bought.id), "state": state},
        )
        owed = _STEPS[DisputeState(state)](bought, draft, now)
        draft.document["disputed"] = money.plain(bought.disputed)
        journal.write()
        bought.dispute = state
        bought.save(update_fields=["dispute", "disputed"])
        facts = {"top_up": bought.id, "state": state, "disputed": bought.disputed}
        outbox.notify(book, EventType.TOP_UP_DISPUTED, facts, now)
        if owed > 0:
            port.billing().credits_lost(book, bought, owed)
        elif state == DisputeState.WON:
            port.billing().credits_arrived(book)
        lots = CreditLot.objects.filter(top_up=bought).select_related("unit_wallet__metric")
        return {
            "id": bought.id,
            "customer_id": book.key,
            "dispute": state,
            "disputed": bought.disputed,
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
        content={"top_up": top_up_id, "state": state},
        make=make,
        status=200,
    )


def _check(bought: TopUp, state: DisputeState) -> None:
    if bought.status != TopUpStatus.SUCCEEDED or bought.channel == TopUpChannel.ON_ACCOUNT:
        raise NotDisputable("Only a payment that was taken can be disputed.")
    if bought.dispute != _BEFORE[state]:
        now = bought.dispute or "not disputed"
        raise WrongDisputeState(f"The top-up is {now}, so its dispute cannot be {state}.")


def _open(bought: TopUp, draft: EntryBuilder, now: datetime) -> Decimal:
    """Freeze the lots, spent ones too, so that what returns to them is frozen as well, and switch
    off the customer's automatic refills in this currency.

    What was refunded before is not contested.
    """
    bought.disputed = bought.amount - bought.refunded
    if bought.disputed <= 0:
        raise NotDisputable("All of it has been refunded already.")
    CreditLot.objects.filter(top_up=bought).update(frozen_at=now)
    AutoRefill.objects.filter(
        book=bought.book, wallet__currency=bought.currency, switched_off_at=None
    ).update(switched_off_at=now)
    draft.lines += posting_rules.dispute_opened(amount=bought.disputed, currency=bought.currency)
    return ZERO


def _win(bought: TopUp, draft: EntryBuilder, now: datetime) -> Decimal:
    """Unfreeze the lots; one that has expired meanwhile lapses with the next sweep."""
    CreditLot.objects.filter(top_up=bought).update(frozen_at=None)
    draft.lines += posting_rules.dispute_won(amount=bought.disputed, currency=bought.currency)
    return ZERO


def _lose(bought: TopUp, draft: EntryBuilder, now: datetime) -> Decimal:
    """Revoke what is free; return what was earned and stays unpaid.

    What is held counts as spent: captures are honoured, and what is released pays the claim.
    """
    free = list(CreditLot.objects.filter(top_up=bought, remaining__gt=F("held")).order_by("id"))
    _return_to_campaigns(free)
    revoked = [draft.revoke(lot) for lot in free]
    CreditLot.objects.filter(top_up=bought).update(frozen_at=None)
    refunded = queries.refunded_carrying([bought.id]).get(bought.id, ZERO)
    owed = bought.amount - refunded - sum((part.carrying for part in revoked), ZERO)
    draft.lines += posting_rules.dispute_lost(
        unused=revoked,
        earned=owed,
        currency=bought.currency,
        kept=refunded - bought.refunded,
    )
    return owed


def _return_to_campaigns(lots: Iterable[CreditLot]) -> None:
    """Return to the campaigns' budgets the part of their bonus that is revoked unspent
    (docs/decisions.md#d39).
    """
    free = {lot.id: lot.remaining - lot.held for lot in lots}
    given = CampaignGrant.objects.filter(lot__in=free).order_by("campaign_id")
    for campaign_id, lot_id in given.values_list("campaign_id", "lot_id"):
        campaigns.return_to_budget(campaign_id=campaign_id, quantity=free[lot_id])


_STEPS = {DisputeState.OPENED: _open, DisputeState.WON: _win, DisputeState.LOST: _lose}


def _claim_order(burn_order: Sequence[str]) -> list[str]:
    """Return the kinds that pay a claim, in order; those that pay for no usage come last."""
    paying = [kind for kind in burn_order if kind in _PAY_CLAIMS]
    return paying + [kind for kind in _PAY_CLAIMS if kind not in paying]


@money.exact
def pay_claim(
    *,
    book: Book,
    currency: str,
    owed: Decimal,
    claim: str,
    now: datetime,
    debt_of: Debit | None = None,
) -> Decimal:
    """Burn credits toward a claim, in the wallet's burn order; return how much was paid.

    The book must be locked. What was lost is got back after all (2100 / 4940), without tax. PROMO
    never pays for money that the bank took back, and CASH does also where it pays for no usage. The
    debt of a capture is paid as the capture would have been, with the tax of its moment inside.
    """
    wallet = book.wallets.filter(currency=currency).first()
    if wallet is None:
        return ZERO
    lots = {lot.id: lot for lot in queries.open_lots([book.pk]).filter(wallet=wallet)}
    outcome = waterfall.allocate(
        (queries.seen_by_waterfall(lot) for lot in lots.values() if queries.is_alive(lot, now)),
        owed,
        _claim_order(wallet.burn_order) if debt_of is None else wallet.burn_order,
    )
    if not outcome.allocations:
        return ZERO
    rate = None if debt_of is None else rate_in(debt_of.entry.document)
    percent = ZERO if rate is None else rate.percent
    journal = CreditJournal()
    draft = journal.entry(
        book=book,
        event=LedgerEvent.SETTLEMENT,
        occurred_at=now,
        document={
            "claim": claim,
            "paid": money.plain(outcome.covered),
            **({} if rate is None else rate.facts),
        },
    )
    for allocation in outcome.allocations:
        tax = tax_within(allocation.quantity, percent)
        draft.burn(lots[allocation.lot], allocation.quantity, tax=tax)
    if debt_of is None:
        draft.lines = posting_rules.loss_repaid(draft.lines)
    journal.write()
    return outcome.covered
