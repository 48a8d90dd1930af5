"""Rollover: lots move into the next cycle by the rules of their grants."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import QuerySet

from aforo import money
from aforo.protocol.exact_json import timestamp
from aforo.protocol.idempotency import canonical
from ledger.models import Book, LedgerEvent
from pricing.terms import Rollover, parse_rollover, rolled_parts
from wallets.holds import reservation_holds
from wallets.lots.credit_journal import CreditJournal
from wallets.models import CreditLot


@money.exact
def roll_over(*, book: Book, lots: QuerySet[CreditLot], at: datetime, until: datetime) -> int:
    """Roll those of a customer's lots that lapse exactly at `at`, to `until`.

    The limits of a rule apply to the sum of all lots of one grant; what rolls is the same lot with
    what it carries, for as many further cycles as the rule allows. What is free beyond it lapses
    now; what is held beyond it keeps its expiry, so that it lapses when it is released. The book
    must be locked. Return the number of lots that rolled; repeating rolls none twice, since their
    expiry has moved.
    """
    rolling = lots.filter(book=book, remaining__gt=0, expires_at=at, rollover__isnull=False)
    journal = CreditJournal()
    rolled = sum(
        _roll(journal, book, rule, youngest_first, at=at, until=until)
        for rule, youngest_first in _by_grant(rolling.order_by("-granted_at", "-id"))
    )
    journal.write()
    return rolled


def _by_grant(lots: Iterable[CreditLot]) -> list[tuple[Rollover, list[CreditLot]]]:
    """Group the lots that may still roll by their grant, whatever its period. A grant whose rule
    was changed has one sum a rule.
    """
    found: dict[tuple[UUID | None, str, str], tuple[Rollover, list[CreditLot]]] = {}
    for lot in lots:
        rule = parse_rollover(lot.rollover)
        if rule.cycles is None or lot.rolled < rule.cycles:
            grant = (lot.subscription_id, lot.grant_code, str(canonical(lot.rollover)))
            found.setdefault(grant, (rule, []))[1].append(lot)
    return list(found.values())


def _roll(
    journal: CreditJournal,
    book: Book,
    rule: Rollover,
    youngest_first: list[CreditLot],
    *,
    at: datetime,
    until: datetime,
) -> int:
    """Roll over the lots of one rule, as far as it allows; return the number of lots that
    rolled.
    """
    parts = [(lot.held - lot.lapsing, lot.available) for lot in youngest_first]
    shares = rolled_parts(rule, parts)
    rolling = [
        (lot, held, free)
        for lot, (held, free) in zip(youngest_first, shares, strict=True)
        if held + free > 0
    ]
    for lot, held, free in rolling:
        if (beyond := lot.available - free) > 0:
            reservation_holds.lapse(journal, book, lot, beyond, at=at)
        _extend(journal, book, lot, held + free, at=at, until=until)
    return len(rolling)


def _extend(
    journal: CreditJournal,
    book: Book,
    lot: CreditLot,
    rolled: Decimal,
    *,
    at: datetime,
    until: datetime,
) -> None:
    draft = journal.entry(
        book=book,
        event=LedgerEvent.ROLLOVER,
        occurred_at=at,
        document={
            "lot": str(lot.id),
            "rolled": money.plain(rolled),
            "until": timestamp(until),
            "times": str(lot.rolled + 1),
        },
    )
    draft.roll_over(lot, until=until, unrolled=lot.remaining - lot.lapsing - rolled)
