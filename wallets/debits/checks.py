"""Checks: what a request would do, decided by the engine's own functions from rows that are read
without a lock and never written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from aforo import money
from aforo.errors import DomainError, NotCovered
from ledger.models import Book
from wallets.budgets.counting import BudgetExceeded
from wallets.debits import shortages
from wallets.debits.engine import refusing
from wallets.debits.engine.accounts import Paused, Suspended
from wallets.debits.engine.batch import Batch
from wallets.debits.engine.debiting import debit
from wallets.debits.engine.pricing import OpenPricing
from wallets.debits.engine.requests import DebitRequest, Request
from wallets.debits.shortages import Refusal
from wallets.models import SpendState

# What a refusal says of the budget that it names.
OF_BUDGETS = {"budget", "value", "limit", "used", "held", "resets_at", "max_per_call"}


@dataclass(slots=True)
class Check:
    """A request that is asked about, and all that refuses it: each is put aside in memory, so that
    the next is found, until it passes or cannot.
    """

    batch: Batch
    request: Request
    refusals: list[DomainError] = field(default_factory=list)
    taken: Mapping[str, object] | None = None
    """What it would take, as far as what refuses it can be put aside."""
    is_behind: bool = False
    """Whether something is due that the request would do first, and the check does not."""

    @classmethod
    def open(cls, request: Request, book: Book, pricing: OpenPricing | None = None) -> Check:
        """Read what the request needs to know."""
        batch = Batch.read(
            {book.key: book},
            [request],
            [book.key],
            pricing,
            livemode=book.livemode,
            is_locked=False,
        )
        return cls(batch, request, is_behind=batch.is_followed)

    def decide(
        self, take: Callable[[], Mapping[str, object]], reopen: Callable[[], None] = lambda: None
    ) -> None:
        """Decide by `take`, which raises a refusal and then has changed nothing; `reopen` puts a
        subscription's state aside.

        Raises: whatever else is wrong with the request.
        """
        goes_on = True
        while goes_on and self.taken is None:
            try:
                self.taken = take()
            except (NotCovered, BudgetExceeded, Suspended, Paused) as refusal:
                goes_on = refusal.code not in {each.code for each in self.refusals}
                self.refusals += [refusal] if goes_on else []
                goes_on = goes_on and self._put_aside(refusal, reopen)

    def _put_aside(self, refusal: DomainError, reopen: Callable[[], None]) -> bool:
        """Lift what refused the request, in memory; return whether that could be done."""
        wallets = [account.wallet for account in self.batch.wallets.values()]
        match refusal.code:
            case "suspended" | "paused":
                for wallet in wallets:
                    wallet.spend_state = SpendState.ACTIVE
                reopen()
            case "overage_limit":
                for wallet in wallets:
                    wallet.overage_limit = None
            case "budget_exceeded":
                self.batch.budgets.ignore()
            case _:
                return False
        return True

    @money.exact
    def answer(self) -> dict[str, object]:
        """Return what the check found."""
        explained = [each for each in self.refusals if isinstance(each, Refusal)]
        explained.sort(key=lambda each: isinstance(each, BudgetExceeded))
        short = next(iter(explained), None)
        extra: dict[str, object] = {"skipped": [], "offers": []}
        if short is not None:
            shortages.explain([refusing.shortage(self.batch, self.request, short)])
            names = ("skipped", "offers", "retry_after")
            extra |= {name: short.extra[name] for name in names if name in short.extra}
        taken = self.taken or {}
        return {
            "customer_id": self.batch.book_of(self.request).key,
            "covered": not self.refusals,
            "allocations": taken.get("allocations", []),
            "overage": taken.get("overage", "0"),
            "shortfall": "0" if short is None else short.extra.get("shortfall", "0"),
            "refused_by": [each for refusal in self.refusals for each in self._named(refusal)],
            **extra,
            "provisional": self.is_behind,
        }

    def _named(self, refusal: DomainError) -> list[dict[str, object]]:
        """Return what refuses by name: a state, a limit, a cap or budgets; credits that are short
        do not.
        """
        names: dict[str, dict[str, object]] = {
            "suspended": {"state": SpendState.SUSPENDED},
            "paused": {"state": SpendState.PAUSED},
            "overage_limit": {"limit": "overage_limit"},
            "quota_exceeded": {"cap": getattr(self.request, "metric", "")},
        }
        named = [names[refusal.code]] if refusal.code in names else []
        if isinstance(refusal, BudgetExceeded):
            first = {name: told for name, told in refusal.extra.items() if name in OF_BUDGETS}
            also = refusal.extra["also"]
            assert isinstance(also, list), "it lists the other budgets"
            named = [first, *also]
        said = {"code": refusal.code, "detail": refusal.detail}
        return [{**each, **said} for each in named]


@money.exact
def check_debit(request: DebitRequest, book: Book) -> Check:
    """Check whether a debit would be covered, and by what.

    Raises: Invalid (`unknown_metric`, `currency_required`).
    """
    check = Check.open(request, book)

    def take() -> Mapping[str, object]:
        debit(check.batch, request)
        assert check.batch.latest is not None, "an accepted debit has its answer"
        return check.batch.latest.content

    check.decide(take)
    return check
