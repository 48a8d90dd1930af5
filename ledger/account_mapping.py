"""Which account of the company's general ledger an account of the books is, by rule.

A rule holds for an account from a day on, for one currency or for all; the one for the currency
goes first, then the latest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.db import IntegrityError, transaction

from aforo.errors import Conflict, FieldError, Invalid
from aforo.money import EXPONENTS
from ledger import approvals
from ledger.approvals import Asked
from ledger.models import Account, ApprovalAction, ApprovalRequest, GlMapping

WRITE = "ledger.account_mapping.write"
DELETE = "ledger.account_mapping.delete"


class UnmappedAccounts(Invalid):
    """Accounts that have been posted to and have no place in the general ledger."""


class MappingExists(Conflict):
    """The account is mapped for that time already.

    Change or end that mapping.
    """

    default_code = "mapping_exists"


@dataclass(frozen=True, slots=True)
class GlAccount:
    """An account as the general ledger knows it."""

    code: str
    name: str


class Mapping:
    """The rules in force, read once."""

    def __init__(self, rules: Sequence[GlMapping], chart: dict[str, str]) -> None:
        self._rules: dict[tuple[str, str], list[GlMapping]] = {}
        for rule in sorted(rules, key=lambda rule: rule.starts_on, reverse=True):
            self._rules.setdefault((rule.account_id, rule.currency), []).append(rule)
        self._chart = chart
        lines = sorted(
            f"{x.account_id}|{x.currency}|{x.starts_on}|{x.ends_on}|{x.gl_code}|{x.gl_name}"
            for x in rules
        )
        self.version = _digest(lines)
        self.chart_version = _digest(f"{code}|{name}" for code, name in sorted(chart.items()))

    def find(self, *, account: str, currency: str, day: date) -> GlAccount | None:
        """Return the account of the general ledger on a day, if a rule names one."""
        for key in ((account, currency), (account, "")):
            for rule in self._rules.get(key, ()):
                if rule.starts_on <= day and (rule.ends_on is None or day < rule.ends_on):
                    return GlAccount(rule.gl_code, rule.gl_name or self.own(account).name)
        return None

    def own(self, account: str) -> GlAccount:
        """Return the account of the books itself."""
        return GlAccount(account, self._chart.get(account, "(not in the chart)"))

    def check(self, wanted: Iterable[tuple[str, str, date]]) -> None:
        """Check that each account has a rule in its currency on its day.

        Raises: UnmappedAccounts, naming each account once.
        """
        missing = sorted(
            {
                (account, currency)
                for account, currency, day in wanted
                if self.find(account=account, currency=currency, day=day) is None
            }
        )
        if missing:
            names = ", ".join(f"{account} in {currency}" for account, currency in missing)
            detail = f"Map these accounts to the general ledger first: {names}."
            raise UnmappedAccounts(
                [
                    FieldError(f"/mapping/{account}/{currency}", "unmapped_account", detail)
                    for account, currency in missing
                ],
                detail=detail,
            )


def read() -> Mapping:
    """Read the rules and the chart."""
    chart = dict(Account.objects.values_list("code", "name"))
    return Mapping(list(GlMapping.objects.order_by("pk")), chart)


def check_rule(*, currency: str, starts_on: date, ends_on: date | None) -> None:
    """Check what a rule holds for.

    Raises: Invalid.
    """
    faults = []
    if currency and currency not in EXPONENTS:
        detail = "This currency is not supported; leave it empty for every currency."
        faults.append(FieldError("/currency", "unknown_currency", detail))
    if ends_on is not None and ends_on <= starts_on:
        faults.append(FieldError("/ends_on", "before_start", "After the day on which it starts."))
    if faults:
        raise Invalid(faults)


@transaction.atomic
def ask_for_rule(rule: GlMapping, *, now: datetime) -> GlMapping | ApprovalRequest:
    """Write a rule as `write_rule` does, or let it wait for a second person where the company has
    decided so.

    Raises: Invalid, MappingExists.
    """
    check_rule(currency=rule.currency, starts_on=rule.starts_on, ends_on=rule.ends_on)
    return _waiting(WRITE, rule, now) or write_rule(rule)


@transaction.atomic
def ask_for_deletion(rule: GlMapping, *, now: datetime) -> ApprovalRequest | None:
    """Delete a rule, or let that wait for a second person where the company has decided so."""
    waits = _waiting(DELETE, rule, now)
    if waits is None:
        delete_rule(rule)
    return waits


def _waiting(operation: str, rule: GlMapping, now: datetime) -> ApprovalRequest | None:
    said = {
        "id": rule.pk,
        "account_id": rule.account_id,
        "currency": rule.currency,
        "starts_on": rule.starts_on,
        "ends_on": rule.ends_on,
        "gl_code": rule.gl_code,
        "gl_name": rule.gl_name,
    }
    # Mappings are of both modes, and matter for the live one.
    return approvals.ask(Asked(ApprovalAction.MAPPING, operation, said, livemode=True, now=now))


def write_rule(rule: GlMapping) -> GlMapping:
    """Write a new or changed rule; what has been exported stays as it is.

    Raises: Invalid; MappingExists when the account has a rule for the currency from that day on.
    """
    check_rule(currency=rule.currency, starts_on=rule.starts_on, ends_on=rule.ends_on)
    try:
        with transaction.atomic():
            rule.save()
    except IntegrityError as error:
        detail = "The account has a rule for this currency from that day on."
        raise MappingExists(detail) from error
    return rule


def delete_rule(rule: GlMapping) -> None:
    """Delete a rule; what has been exported stays as it is."""
    rule.delete()


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
