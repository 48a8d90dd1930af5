"""Debits of usage: recorded, priced and paid before it is served.

What a debit burned keeps its payer; settlement nets it (docs/decisions.md#d17, #d33).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from aforo import money
from aforo.ids import new_id
from aforo.money import ZERO
from aforo.protocol.exact_json import timestamp
from aforo.protocol.idempotency import Answer
from billing.calculation.calculation import Calculation
from billing.models import UsageEvent
from billing.realtime import marginal_price, usage_budgets, usage_over_capture
from billing.realtime.open_cycles import OpenCycle, Pays
from billing.realtime.usage_budgets import Accepted, Use
from billing.realtime.usage_over_capture import Borne
from billing.realtime.usage_requests import UsageRequest
from billing.settlement import cycle_burns
from ledger.models import Book, LedgerEvent
from pricing.models import Metric, OverCapture
from wallets.operations.responses import allocated

if TYPE_CHECKING:
    from billing.realtime.usage_pricing import UsagePricing


@dataclass(frozen=True, slots=True)
class Charged:
    """The cost of usage: which lots paid, what no credit covered, and the entry, if any."""

    event: UsageEvent
    changes: Sequence[cycle_burns.BurnChange]
    overage: Decimal
    entry: UUID | None
    borne: Borne

    @property
    def amount(self) -> Decimal:
        """Return the gross price: money burned and overage; units are no money."""
        money_changes = (c.quantity for c in self.changes if c.lot.unit_wallet_id is None)
        return sum(money_changes, ZERO) + self.overage


def debit(usage: UsagePricing, book: Book, request: UsageRequest) -> Answer:
    """Record usage and pay it at once: units first, then money.

    Raises: what `usage_calls.debit_usage` raises.
    """
    cycle, metric = marginal_price.cycle_for(usage, book, request.metric)
    marginal_price.check_open(cycle.subscription)
    event = marginal_price.event_of(usage, book, cycle, metric, request, request.key)
    usage.check_free(book, request.key)
    before = marginal_price.without(usage, book, cycle)
    charged = charge(
        usage,
        book,
        cycle,
        metric,
        event,
        before=before,
        document={"key": request.key},
        attributes=request.attributes,
    )
    operation_id = new_id()
    currency = cycle.subscription.version.plan.currency
    account = usage.money_account(book, currency)
    body = {
        "id": operation_id,
        "customer_id": book.key,
        "metric": metric.code,
        "quantity": event.quantity,
        "amount": charged.amount,
        "currency": currency,
        "allocations": [
            {**allocated(change.lot, change.quantity), **change.lot.unit}
            for change in charged.changes
        ],
        "overage": charged.overage,
        "balance": account.balance,
        "unit_balance": usage.unit_account(book, metric).balance,
        "entry": charged.entry,
        "usage_event": event.pk,
        "occurred_at": event.occurred_at,
    }
    return usage.batch.record(
        request, operation_id=operation_id, account=account, status=200, body=body
    )


def charge(
    usage: UsagePricing,
    book: Book,
    cycle: OpenCycle,
    metric: Metric,
    event: UsageEvent,
    *,
    before: Calculation,
    document: Mapping[str, object],
    attributes: Mapping[str, str] | None,
    also_pays: Pays = lambda lot: False,
    promised: Decimal = ZERO,
    accepted: Accepted | None = None,
    policy: str = OverCapture.REFUSE,
) -> Charged:
    """Record an event and adjust the cycle's burns from what it owed `before` to what it then owes;
    `accepted` is what a reservation has of it, and `policy` its way with what nothing covers.

    Raises: what `usage_over_capture.bear` raises; BudgetExceeded.
    """
    borne = usage_over_capture.bear(
        usage,
        book,
        cycle,
        event,
        policy=policy,
        before=before,
        also_pays=also_pays,
        promised=promised,
    )
    after = borne.after
    facts = {
        **document,
        "metric": metric.code,
        "quantity": money.plain(event.quantity),
        "usage_event": str(event.pk),
        "usage_at": timestamp(event.occurred_at),
    }
    changes, entry = usage.burn(
        book,
        cycle,
        after,
        event=LedgerEvent.USAGE_BURNED,
        occurred_at=usage.now(book),
        document=marginal_price.document(cycle, after, facts),
        attributes=attributes,
        keep=True,
    )
    overage = max(after.to_invoice - before.to_invoice, ZERO)
    charged = Charged(event, changes, overage, entry, borne)
    is_debt = policy == OverCapture.DEBT
    taken = charged.amount + (borne.left if is_debt else ZERO)
    use = Use(metric, after.currency, event.properties, event.quantity, taken)
    refuse = policy == OverCapture.REFUSE
    counted = usage_budgets.take(usage, book, use, accepted, refuse=refuse)
    entry = usage_budgets.count(
        usage, book, counted, entry=entry, document=facts, attributes=attributes
    )
    cycle.add(metric, event)
    usage.events.append(event)
    return replace(charged, entry=entry)
