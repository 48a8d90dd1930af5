"""Propose, approve and read what the company has decided about measurement."""

from __future__ import annotations

from datetime import date, datetime
from typing import TypeVar

from django.contrib.auth.models import AbstractBaseUser
from django.db import connection, transaction
from django.db.models import Q

from aforo.database import bulk
from aforo.errors import Conflict
from ledger.models import BreakageRate, FourEyes, Policy, ProvisionMatrix

Decision = TypeVar("Decision", bound=FourEyes)


class SamePerson(Conflict):
    """Who proposed it wants to approve it too.

    Have it approved by another person.
    """

    default_code = "same_person"


class Decided(Conflict):
    """The proposal was approved or rejected already.

    Make a new proposal if it has to change.
    """

    default_code = "already_decided"


class StartsInClosedMonth(Conflict):
    """A policy or a rate would start in a month that is closed, whose figures rest on another.

    Propose it from a day of an open month on: a change of estimate, which the past keeps out of.
    """

    default_code = "starts_in_closed_month"


def check_second_person(proposal: FourEyes, by: AbstractBaseUser) -> None:
    """Check that somebody other than the proposer decides; the database does so too.

    Raises: SamePerson.
    """
    if proposal.proposed_by_id == by.pk:
        raise SamePerson("Another person than who proposed it has to approve.")


def propose(proposal: Decision, *, by: AbstractBaseUser, now: datetime) -> Decision:
    """Write a policy or a rate; it is in force once another person approves it."""
    proposal.proposed_by_id, proposal.proposed_at = by.pk, now
    proposal.save(force_insert=True)
    return proposal


@transaction.atomic
def approve(proposal: Decision, *, by: AbstractBaseUser, now: datetime) -> Decision:
    """Approve a policy or a rate, which is in force from then on.

    Raises: SamePerson; Decided when it was approved before; StartsInClosedMonth.
    """
    check_second_person(proposal, by)
    if isinstance(proposal, Policy | BreakageRate | ProvisionMatrix):
        _check_start(proposal)
    undecided = type(proposal)._default_manager.filter(pk=proposal.pk, approved_at=None)
    if not undecided.update(approved_by=by, approved_at=now):
        raise Decided("It was approved before.")
    proposal.refresh_from_db()
    return proposal


def _check_start(estimate: Policy | BreakageRate | ProvisionMatrix) -> None:
    """Check that an estimate starts in an open month; the database does so too.

    Raises: StartsInClosedMonth.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT ledger_is_closed(%s, %s)", [estimate.livemode, estimate.starts_on])
        is_closed: bool = cursor.fetchall()[0][0]
    if is_closed:
        raise StartsInClosedMonth(f"{estimate.starts_on:%Y-%m} is closed.")


_IN_FORCE = """
    WHERE t.livemode = %s AND t.starts_on <= %s AND t.approved_at IS NOT NULL
    ORDER BY t.starts_on DESC LIMIT 1
"""


def policy(*, livemode: bool, on: date) -> Policy:
    """Return the policy in force on a day; without one, the defaults."""
    approved = bulk.select_models(Policy, _IN_FORCE, [livemode, on])
    return approved[0] if approved else Policy(livemode=livemode, starts_on=on)


def breakage_rate(
    *, livemode: bool, kind: str, currency: str, sold_on: date, on: date
) -> BreakageRate | None:
    """Return the rate in force on a day for what was sold in a month, if there is one."""
    found = BreakageRate.objects.filter(
        Q(sold_from=None) | Q(sold_from__lte=sold_on),
        Q(sold_until=None) | Q(sold_until__gt=sold_on),
        livemode=livemode,
        kind=kind,
        currency__in=["", currency],
        starts_on__lte=on,
        approved_at__isnull=False,
    )
    return found.order_by("-currency", "-starts_on", "-approved_at").first()
