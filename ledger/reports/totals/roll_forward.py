"""Roll-forwards: how a balance went from its opening to its closing, event by event.

Every posting falls into exactly one column, and what fits none into `other`, so a roll-forward
foots by construction and an unexplained difference is shown, never plugged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from aforo.money import ZERO
from ledger.models import LedgerEvent
from ledger.reports.report_table import Column, Drill, ReportScope, Row, amount_column
from ledger.reports.totals.sums import Moved


@dataclass(frozen=True, slots=True)
class Rule:
    """A column: the events that fall into it, and the accounts on the other side, by the first
    digits of their codes (none: any); with `own`, for movements of that account alone.
    """

    column: str
    title: str
    events: frozenset[str]
    others: tuple[str, ...] = ()
    own: str = ""

    def takes(self, account: str, event: str, other: str) -> bool:
        """Return whether a movement of an account belongs here."""
        return (
            self.is_for(account)
            and (not self.events or event in self.events)
            and (not self.others or other.startswith(self.others))
        )

    def is_for(self, account: str) -> bool:
        """Return whether the rule is for an account: for its own alone, or for all."""
        return self.own in ("", account)


def rule(
    column: str,
    title: str,
    events: Sequence[LedgerEvent] = (),
    others: Sequence[str] = (),
    own: str = "",
) -> Rule:
    """Return a rule; of one column's rules, no more than one is for an account and not `own`."""
    return Rule(column, title, frozenset(event.value for event in events), tuple(others), own)


OTHER = rule("other", "Other")


@dataclass(slots=True)
class RollForwardLine:
    """One account in one currency; amounts are on the account's normal side."""

    account: str
    currency: str
    opening: Decimal = ZERO
    columns: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    @property
    def closing(self) -> Decimal:
        return self.opening + sum(self.columns.values(), ZERO)


def roll(
    found: Sequence[Moved],
    *,
    accounts: Mapping[str, int],
    rules: Sequence[Rule],
    split: Callable[[str, Moved, dict[tuple[str, str], RollForwardLine]], bool] = lambda *_: False,
) -> list[RollForwardLine]:
    """Fold movements into a line for each account and currency.

    `accounts` gives the sign of a credit on each account (1 for a liability, -1 for an asset).
    `split` may book a movement differently, and returns whether it did.
    """
    lines: dict[tuple[str, str], RollForwardLine] = {}
    for move in found:
        for account, other, side in (
            (move.credit, move.debit, 1),
            (move.debit, move.credit, -1),
        ):
            if account not in accounts:
                continue
            sign = side * accounts[account]
            line = lines.setdefault(
                (account, move.currency), RollForwardLine(account=account, currency=move.currency)
            )
            line.opening += sign * move.before
            if move.inside and not (side > 0 and split(account, move, lines)):
                line.columns[rule_for(rules, account, move.event, other).column] += (
                    sign * move.inside
                )
    return [lines[key] for key in sorted(lines)]


def rule_for(rules: Sequence[Rule], account: str, event: str, other: str) -> Rule:
    """Return the first rule that takes a movement."""
    return next((found for found in rules if found.takes(account, event, other)), OTHER)


def columns(scope: ReportScope, rules: Sequence[Rule]) -> list[Column]:
    """Return the columns of a roll-forward, each with its way to the entries behind it."""

    def whole(span: Drill) -> Callable[[Row], Drill]:
        return lambda row: {
            **span,
            "account": str(row["account"]),
            "currency": str(row["currency"]),
        }

    def part(column: str) -> Callable[[Row], Drill]:
        def drill(row: Row) -> Drill:
            account = str(row["account"])
            of = next(each for each in rules if each.column == column and each.is_for(account))
            narrowed = {"event": ",".join(sorted(of.events))} if of.events else {}
            if of.others:
                narrowed["counter"] = ",".join(of.others)
            return {**whole(scope.span)(row), **narrowed}

        return drill

    titles = {each.column: each.title for each in rules}

    return [
        amount_column("opening", "Opening", whole(scope.before), kept=True),
        *(amount_column(column, title, part(column)) for column, title in titles.items()),
        amount_column(OTHER.column, OTHER.title, whole(scope.span)),
        amount_column("closing", "Closing", whole(scope.until_end), kept=True),
    ]


def row(line: RollForwardLine, rules: Sequence[Rule]) -> dict[str, Decimal | str]:
    """Return a line as a row."""
    names = {each.column for each in rules} | {OTHER.column}
    return {
        "account": line.account,
        "currency": line.currency,
        "opening": line.opening,
        **{name: line.columns.get(name, ZERO) for name in names},
        "closing": line.closing,
    }
