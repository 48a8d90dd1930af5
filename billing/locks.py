"""Locks of billing beyond the books: the invoice counter (last of all) and the scope of runs."""

from __future__ import annotations

from django.db import connection

from billing.models import InvoiceSeries

# The class of the advisory locks on run scopes; books use one-key locks, so they never meet.
_RUN_SCOPE = 7_001


def lock_series(*, livemode: bool) -> InvoiceSeries:
    """Lock a mode's invoice counter; taken last and held briefly (DECISIONS 1)."""
    prefix = "INV-" if livemode else "TEST-"
    InvoiceSeries.objects.get_or_create(livemode=livemode, defaults={"prefix": prefix})
    return InvoiceSeries.objects.select_for_update(no_key=True).get(livemode=livemode)


def lock_run_scopes(*, livemode: bool) -> None:
    """Let only one transaction at a time decide whether a run of this mode may start."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_RUN_SCOPE, int(livemode)])
