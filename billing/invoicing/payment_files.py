"""Files of payments: CSV with named columns, and camt.053, the statement of a bank (ISO 20022).

Every line, or entry, comes out once: as a payment, or as the reason why it is none.
"""

from __future__ import annotations

import base64
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from aforo.errors import DomainError, Rejected
from aforo.money import BOOKS_LIMIT, EXPONENTS, ZERO
from billing.invoicing import bank_payments
from billing.invoicing.payment_lines import Fault, PaymentLine, with_references
from billing.models import BankPayment, BankPaymentState
from ledger import approvals
from ledger.approvals import Asked
from ledger.models import ApprovalAction, ApprovalRequest

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

IMPORT = "billing.bank_payments.import"
REQUIRED = ("account", "booked_on", "amount", "currency")
OPTIONAL = ("bank_reference", "text", "payer", "customer_id")
# As other money is written here: no exponents, no separators of thousands.
_AMOUNT = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,12})?")
_LENGTHS = {"account": 50, "bank_reference": 200, "customer_id": 64}

Lines = Iterator[tuple[int, PaymentLine | Fault]]


class UnreadablePayments(Rejected):
    """The file is neither a CSV file with the columns of payments nor a camt.053 statement.

    The sentence says what is missing.
    """

    default_code = "unreadable_payments"


@dataclass(slots=True)
class Imported:
    """What became of the lines of a file: matched + unmatched + repeated + refused = lines."""

    lines: int = 0
    matched: int = 0
    unmatched: int = 0
    repeated: int = 0
    refused: int = 0
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.lines} lines: {self.matched} matched, {self.unmatched} unmatched, "
            f"{self.repeated} repeated, {self.refused} refused"
        )


def ask_to_import(*, livemode: bool, content: bytes, now: datetime) -> Imported | ApprovalRequest:
    """Import a file as `import_file` does; above a limit of a currency all of it
    waits for approval.

    Raises: UnreadablePayments.
    """
    sums: dict[str, Decimal] = {}
    for _, line in read(content):
        if not isinstance(line, Fault):
            sums[line.currency] = sums.get(line.currency, ZERO) + abs(line.amount)
    said = {"file": base64.b64encode(content).decode()}
    for currency, amount in sorted(sums.items()):
        asked = Asked(ApprovalAction.IMPORT, IMPORT, said, livemode, now, amount, currency)
        if waits := approvals.ask(asked):
            return waits
    return import_file(livemode=livemode, content=content, now=now)


def import_file(*, livemode: bool, content: bytes, now: datetime) -> Imported:
    """Record every payment of a file, each in a transaction of its own, so that a file that stopped
    half-way is simply imported again.

    Raises: UnreadablePayments, before anything is taken.
    """
    done = Imported()
    for number, line in read(content):
        done.lines += 1
        try:
            if isinstance(line, Fault):
                raise Rejected(line.detail)
            taken = bank_payments.take(livemode=livemode, line=line, now=now)
        except DomainError as error:
            done.refused += 1
            details = "; ".join(fault.detail for fault in error.errors) or error.detail
            done.notes.append(f"line {number}: {details}")
        else:
            _count(done, number, taken)
    return done


def _count(done: Imported, number: int, taken: bank_payments.Taken) -> None:
    payment: BankPayment = taken.payment
    if taken.is_repeated:
        done.repeated += 1
    elif payment.state == BankPaymentState.MATCHED:
        done.matched += 1
    else:
        done.unmatched += 1
        done.notes.append(f"line {number}: {payment}: {payment.reason}")


def read(content: bytes) -> list[tuple[int, PaymentLine | Fault]]:
    """Read a file of either kind.

    Raises: UnreadablePayments.
    """
    is_xml = content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")
    return list(with_references(_read_camt(content) if is_xml else _read_csv(content)))


def _read_csv(content: bytes) -> Lines:
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        names = list(reader.fieldnames or ())
        if missing := [name for name in REQUIRED if name not in names]:
            raise UnreadablePayments(f"The column {missing[0]} is missing.")
        if strange := [name for name in names if name not in REQUIRED + OPTIONAL]:
            raise UnreadablePayments(f"There is no column {strange[0]}.")
        rows = [(reader.line_num, row) for row in reader]
    except UnicodeDecodeError as error:
        raise UnreadablePayments("The file is not UTF-8.") from error
    except csv.Error as error:
        raise UnreadablePayments(f"Line {reader.line_num} is no CSV: {error}.") from error
    for number, row in rows:
        if None in row or None in row.values():
            yield number, Fault(detail="It has another number of cells than the first line.")
        else:
            yield number, _line({name: value.strip() for name, value in row.items()})


def _line(cells: dict[str, str]) -> PaymentLine | Fault:
    """Return the payment of named cells, or what is wrong with them."""
    try:
        for name, value in cells.items():
            _check_cell(name, value)
        return PaymentLine(
            account=cells["account"],
            booked_on=_day(cells["booked_on"]),
            amount=_amount(cells["amount"]),
            currency=_currency(cells["currency"]),
            **{name: cells.get(name, "") for name in OPTIONAL},
        )
    except ValueError as error:
        return Fault(str(error))


def _check_cell(name: str, value: str) -> None:
    most = _LENGTHS.get(name)
    if most is not None and len(value) > most:
        raise ValueError(f"{name} has more than {most} characters.")
    if "\x00" in value:
        raise ValueError(f"{name} has a NUL character.")
    if name in REQUIRED and not value:
        raise ValueError(f"{name} is empty.")


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text) if _AMOUNT.fullmatch(text) else None
    except InvalidOperation:
        amount = None
    if amount is None or amount >= BOOKS_LIMIT:
        raise ValueError(f"{text[:40]!r} is no amount such as 12.50.")
    if amount <= 0:
        raise ValueError("It is no money that came.")
    return amount


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text[:10])
    except ValueError as error:
        raise ValueError(f"{text[:40]!r} is no day such as 2026-01-31.") from error


def _currency(text: str) -> str:
    if text.upper() not in EXPONENTS:
        raise ValueError(f"{text[:40]!r} is no currency in use.")
    return text.upper()


def _read_camt(content: bytes) -> Lines:
    """Read the booked entries of a camt.053; an entry of several transactions is so many lines."""
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, DefusedXmlException, ValueError) as error:
        raise UnreadablePayments(f"The file is no XML that can be read: {error}.") from error
    statements = [each for each in root.iter() if _name(each) == "Stmt"]
    if not statements:
        raise UnreadablePayments("There is no statement (Stmt) in it.")
    number = 0
    for statement in statements:
        account = _text(statement, "Acct", "Id", "IBAN") or _text(
            statement, "Acct", "Id", "Othr", "Id"
        )
        for entry in _all(statement, "Ntry"):
            details = [
                one for group in _all(entry, "NtryDtls") for one in _all(group, "TxDtls")
            ] or [entry]
            for detail in details:
                number += 1
                yield number, _transaction(account, entry, detail, is_one=len(details) == 1)


def _transaction(
    account: str, entry: Element, detail: Element, *, is_one: bool
) -> PaymentLine | Fault:
    if (_text(detail, "CdtDbtInd") or _text(entry, "CdtDbtInd")) != "CRDT":
        return Fault(detail="It is no money that came.")
    if (_text(entry, "Sts", "Cd") or _text(entry, "Sts")) != "BOOK":
        return Fault(detail="It is not booked yet.")
    amounts = _all(detail, "Amt") or [
        one
        for kind in _all(detail, "AmtDtls")
        for tx in _all(kind, "TxAmt")
        for one in _all(tx, "Amt")
    ]
    amounts = amounts or (_all(entry, "Amt") if is_one else [])
    if not amounts:
        return Fault(detail="It has no amount of its own.")
    reference = _text(detail, "Refs", "AcctSvcrRef")
    if not reference and is_one:
        reference = _text(entry, "AcctSvcrRef")
    said = [part.text or "" for info in _all(detail, "RmtInf") for part in _all(info, "Ustrd")]
    said += [
        _text(part, "CdtrRefInf", "Ref")
        for info in _all(detail, "RmtInf")
        for part in _all(info, "Strd")
    ]
    said.append(_text(detail, "Refs", "EndToEndId"))
    return _line(
        {
            "account": account,
            "booked_on": _text(entry, "BookgDt", "Dt") or _text(entry, "BookgDt", "DtTm"),
            "amount": (amounts[0].text or "").strip(),
            "currency": amounts[0].get("Ccy", ""),
            "bank_reference": reference,
            "text": " ".join(part.strip() for part in said if part.strip()),
            "payer": _text(detail, "RltdPties", "Dbtr", "Nm")
            or _text(detail, "RltdPties", "Dbtr", "Pty", "Nm"),
        }
    )


def _name(element: Element) -> str:
    """Return the name of an element, whichever version's name space it is in."""
    return element.tag.rpartition("}")[2]


def _all(element: Element, name: str) -> Sequence[Element]:
    return [child for child in element if _name(child) == name]


def _text(element: Element, *path: str) -> str:
    """Return the text at a path below an element, the first of each name; empty without one."""
    for name in path:
        found = _all(element, name)
        if not found:
            return ""
        element = found[0]
    return (element.text or "").strip()
