"""A wallet with its lots while a list is being worked on: who may pay, and what is not covered."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from aforo import money
from aforo.errors import Conflict, NotCovered
from aforo.money import ZERO
from ledger.models import Book
from pricing.models import BillingMode, CreditKind
from wallets import port
from wallets.lots import queries, waterfall
from wallets.lots.tax_rates import RateInForce, rate_at
from wallets.lots.waterfall import Allocated
from wallets.models import BurnStrategy, CreditLot, Reservation, SpendState, UnitWallet, Wallet


class Suspended(Conflict):
    """The customer's subscription is suspended: something is owed.

    Top up what is owed; that lifts the suspension.
    """

    default_code = "suspended"


class Paused(Conflict):
    """The customer's subscription is paused.

    Resume it by POST /v1/subscriptions/{id}/resume.
    """

    default_code = "paused"


@dataclass(slots=True, eq=False)
class WalletState:
    """A wallet with its open lots, as the list has changed them so far."""

    book: Book
    wallet: Wallet | UnitWallet
    now: datetime
    lots: dict[UUID, CreditLot] = field(default_factory=dict)
    open_overage: Decimal = ZERO
    promised: Decimal = ZERO
    before: Decimal | None = None

    def note_balance_before(self) -> None:
        """Record the balance before the list's first burn or hold."""
        if self.before is None:
            self.before = self.available

    @property
    def available(self) -> Decimal:
        """Return what could be spent now."""
        return sum(
            (lot.available for lot in self.lots.values() if queries.is_alive(lot, self.now)), ZERO
        )

    @property
    def tax(self) -> RateInForce | None:
        """Return the tax rate of what is sold now."""
        return rate_at(self.wallet.tax_rates, self.now)

    @property
    def balance(self) -> dict[str, object]:
        return queries.balance(self.lots.values(), self.now)

    def order(self, strategy: str) -> list[str]:
        """Return the kinds that may pay; POSTPAID has no cash step (docs/decisions.md#d34)."""
        kinds = [
            kind
            for kind in self.wallet.burn_order
            if not (self.wallet.billing_mode == BillingMode.POSTPAID and kind == CreditKind.CASH)
        ]
        if strategy == BurnStrategy.WATERFALL:
            return kinds
        return [kind for kind in kinds if kind == strategy]

    def allocate(self, need: Decimal, strategy: str) -> Allocated:
        """Run the waterfall over the lots alive now."""
        seen = (queries.seen_by_waterfall(lot) for lot in self.lots.values())
        alive = (lot for lot in seen if lot.spendable_at(self.now))
        return waterfall.allocate(alive, need, self.order(strategy))

    def promise(self, reservation: Reservation, covered: Decimal) -> None:
        """Set the overage that a reservation may still come to: what its holds do not cover."""
        before = reservation.promised
        left = reservation.quantity - reservation.captured - covered
        reservation.promised = min(max(left, ZERO), before)
        self.promised += reservation.promised - before

    def check_open(self) -> None:
        """Check that the customer may spend: neither suspended nor paused.

        Raises: Suspended, Paused.
        """
        if self.wallet.spend_state == SpendState.SUSPENDED:
            raise Suspended("The customer is suspended: arrears are open.")
        if self.wallet.spend_state == SpendState.PAUSED:
            raise Paused("The subscription is paused.")

    def check_covered(self, outcome: Allocated, strategy: str, *, promised: Decimal = ZERO) -> None:
        """Check that nothing is left uncovered; only a money waterfall of HYBRID or POSTPAID may
        overrun.

        The overage that open reservations promise counts against the limit too, and so does usage
        of the open cycles that no credit covers. `promised` is the share of the reservation that is
        being captured: it was accepted then, and is not refused now.
        Raises: NotCovered (`insufficient_funds` or `overage_limit`).
        """
        overage = self.overage_within(outcome.shortfall, strategy, promised=promised)
        if overage == outcome.shortfall:
            return
        facts = {
            "shortfall": money.plain(outcome.shortfall),
            "available": money.plain(outcome.covered),
        }
        limit = self.wallet.overage_limit
        if limit is None or not self._may_overrun(strategy):
            need = money.plain(outcome.covered + outcome.shortfall)
            raise NotCovered(
                f"{facts['available']} of {need} is available.",
                extra=facts,
                missing=outcome.shortfall,
            )
        raise NotCovered(
            f"The overage would pass the limit of {money.plain(limit)}.",
            code="overage_limit",
            extra=facts,
            missing=outcome.shortfall - overage,
            until=self.wallet.renews_at,
        )

    def overage_within(self, shortfall: Decimal, strategy: str, *, promised: Decimal) -> Decimal:
        """Return how much of a shortfall may go to the invoice: what was `promised`, and in a money
        waterfall of HYBRID or POSTPAID as much as the limit leaves.
        """
        if shortfall <= promised:
            return shortfall
        if not self._may_overrun(strategy):
            return promised
        limit = self.wallet.overage_limit
        if limit is None:
            return shortfall
        run_up = self.open_overage + self.promised - promised + self._usage_overage()
        return min(shortfall, max(limit - run_up, promised))

    def _usage_overage(self) -> Decimal:
        assert isinstance(self.wallet, Wallet), "units have no overage"
        return port.billing().usage_overage(self.book, self.wallet.currency)

    def _may_overrun(self, strategy: str) -> bool:
        return (
            isinstance(self.wallet, Wallet)
            and self.wallet.billing_mode != BillingMode.PREPAID
            and strategy == BurnStrategy.WATERFALL
        )
