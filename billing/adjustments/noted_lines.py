"""The lines of an invoice that a credit note names: how much of each is left to credit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from aforo import money
from aforo.errors import FieldError, Invalid
from aforo.money import ZERO, plain
from billing.models import AdvanceFee, CreditNote, Invoice, InvoiceLine, LineKind

# What is spread over the other lines.
_SPREAD = {LineKind.DISCOUNT, LineKind.TAX, LineKind.BONUS, LineKind.ROUNDING}


@dataclass(frozen=True, slots=True)
class LinePart:
    """A line of an invoice by its place, from 0, and how much of it before tax; None: all that is
    left of it.
    """

    position: int
    amount: Decimal | None = None

    @property
    def shown(self) -> dict[str, str]:
        part = {"position": str(self.position)}
        return part if self.amount is None else part | {"amount": plain(self.amount)}


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of a note, their sum, and the part of it that is a fee in advance."""

    shown: tuple[dict[str, str], ...]
    net: Decimal
    of_fee: Decimal


def read(invoice: Invoice, parts: Sequence[LinePart]) -> Lines:
    """Return the lines of a note; a line counts with its share of what is due before tax, after
    discount and what credits paid.

    Raises: Invalid (`unknown_line`, `repeated`, `exceeds_line`, `not_payable`).
    """
    lines = {line.position: line for line in InvoiceLine.objects.filter(invoice=invoice)}
    left = _left(invoice, lines)
    shown, net, of_fee, faults, seen = [], ZERO, ZERO, list[FieldError](), set[int]()
    for n, part in enumerate(parts):
        fault = _fault(invoice, part, left, seen)
        if fault is not None:
            faults.append(FieldError(f"/lines/{n}/{fault[0]}", fault[1], fault[2]))
            continue
        seen.add(part.position)
        line = lines[part.position]
        amount = left[part.position] if part.amount is None else part.amount
        shown.append(
            {
                "line": str(part.position),
                "description": line.description,
                "amount": plain(amount),
            }
        )
        net += amount
        of_fee += amount if _is_ahead(invoice, part.position) else ZERO
    if faults:
        raise Invalid(faults)
    return Lines(tuple(shown), net, of_fee)


def _fault(
    invoice: Invoice, part: LinePart, left: dict[int, Decimal], seen: set[int]
) -> tuple[str, str, str] | None:
    """Return the field, the code and the sentence of what is wrong with a part, if anything."""
    if part.position not in left:
        return "line", "unknown_line", f"{invoice} has no line {part.position} to credit."
    if part.position in seen:
        return "line", "repeated", "The line is named twice."
    most = left[part.position]
    if part.amount is None:
        return None if most > 0 else ("line", "exceeds_line", "Nothing is left of the line.")
    if not money.is_payable(part.amount, invoice.currency):
        places = money.exponent(invoice.currency)
        return "amount", "not_payable", f"{invoice.currency} has {places} decimals."
    if part.amount > most:
        return "amount", "exceeds_line", f"At most {plain(most)} before tax is left of the line."
    return None


def left_of(invoice: Invoice) -> list[tuple[InvoiceLine, Decimal]]:
    """Return the lines of an invoice of which something is left to credit, each with how much."""
    lines = {line.position: line for line in InvoiceLine.objects.filter(invoice=invoice)}
    left = _left(invoice, lines)
    return [(line, left[place]) for place, line in sorted(lines.items()) if left.get(place)]


def _left(invoice: Invoice, lines: dict[int, InvoiceLine]) -> dict[int, Decimal]:
    """Return what is left to credit of each line that can be."""
    due = invoice.amount_due - invoice.due_tax
    noted = dict[int, Decimal]()
    for note in CreditNote.objects.filter(invoice=invoice):
        for each in note.lines:
            if "line" in each:
                place = int(each["line"])
                noted[place] = noted.get(place, ZERO) + Decimal(each["amount"])
    found = {
        place: line.amount
        for place, line in lines.items()
        if line.kind not in _SPREAD and line.amount > 0
    }
    whole = sum((line.amount for line in lines.values() if line.kind not in _SPREAD), ZERO)
    return {
        place: max(_share(due, amount, whole, invoice.currency) - noted.get(place, ZERO), ZERO)
        for place, amount in found.items()
    }


def _share(due: Decimal, amount: Decimal, whole: Decimal, currency: str) -> Decimal:
    return money.round_amount(money.proportion(due, min(amount, whole), whole), currency)


def _is_ahead(invoice: Invoice, position: int) -> bool:
    """Return whether a line is of fees in advance: its period is theirs."""
    fee = AdvanceFee.objects.filter(settlement=invoice.settlement_id).first()
    content: dict[str, Any] = invoice.content or {"lines": []}
    if fee is None or position >= len(content["lines"]):
        return False
    line = content["lines"][position]
    period = line["period"]
    starts_at = fee.starts_at.isoformat()
    return line["kind"] == LineKind.FEE and bool(period) and period["starts_at"] == starts_at
