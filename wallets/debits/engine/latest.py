"""The operation that a list accepted last: its answer is read again after its consequences, which
are its actor's doing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from aforo import actors
from aforo.actors import Actor, ActorKind
from aforo.protocol.idempotency import Answer
from wallets.debits.engine.accounts import WalletState
from wallets.models import Operation
from wallets.operations.responses import read_again

ReadAgain = Callable[[], Mapping[str, object]]


@dataclass(slots=True)
class Latest:
    """The operation that was accepted last, and what it answers."""

    operation: Operation
    content: Mapping[str, object]
    account: WalletState
    again: ReadAgain | None = None

    @property
    def answer(self) -> Answer:
        return Answer(self.operation.status, self.operation.body)

    def read_again(self) -> None:
        """Rebuild the stored answer from the balances after all consequences of the operation."""
        wallet, now = self.account.wallet, self.account.now
        self.content = (
            read_again(self.content, wallet=wallet, now=now) if self.again is None else self.again()
        )
        self.operation.body = Answer.fresh(self.operation.status, self.content).body


def asked_by(operations: Sequence[Operation], book_id: int) -> AbstractContextManager[None]:
    """Act as who asked last of a book; what nobody asked for is due, as a reservation's end."""
    for each in reversed(operations):
        if each.book_id == book_id:
            return actors.acting(Actor(ActorKind(each.actor_kind), each.actor_id))
    return actors.acting(actors.job("hold_timeout"))
