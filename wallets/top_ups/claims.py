"""Claims paid: what a customer owes for credits is burned from the next ones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from aforo import money
from aforo.money import ZERO
from ledger import posting_rules
from ledger.models import Book, LedgerEvent
from pricing.models import CreditKind
from wallets.lots import queries, waterfall
from wallets.lots.consideration_tax import tax_within
from wallets.lots.credit_journal import CreditJournal
from wallets.lots.tax_rates import rate_in
from wallets.models import Debit

_PAY_CLAIMS = (CreditKind.BONUS, CreditKind.CASH)


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
