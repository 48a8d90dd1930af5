"""Which tables are configuration, and how their triggers learn who changes a row.

The triggers write the audit trail (docs/decisions.md#d470); this names the actor to them, before
each statement that changes such a table, for its transaction. Other statements cost a look at
their first words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from django.db import connections, transaction

from aforo import actors


@dataclass(frozen=True, slots=True)
class Watched:
    """What of a table is configuration: all columns but counters, or `only` some."""

    counters: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()

    def concerns(self, columns: frozenset[str]) -> bool:
        """Return whether a statement that sets these columns changes configuration."""
        return bool(columns & self.only if self.only else columns - self.counters)


_ALL = Watched()
_LIMITS = Watched(only=frozenset({"own_overage_limit", "own_debt_limit", "low_balance_threshold"}))

CONFIGURATION: Final = {
    "access_apikey": Watched(frozenset({"last_used_at"})),
    "auth_group": _ALL,
    "auth_group_permissions": _ALL,
    "auth_user": Watched(frozenset({"last_login"})),
    "auth_user_groups": _ALL,
    "auth_user_user_permissions": _ALL,
    "billing_customer": _ALL,
    "billing_dunningschedule": _ALL,
    "billing_taxexemption": _ALL,
    "billing_taxrate": _ALL,
    "ledger_account": _ALL,
    "ledger_accountingperiod": _ALL,
    "ledger_approvallimit": _ALL,
    "ledger_breakagerate": _ALL,
    "ledger_exchangerate": _ALL,
    "ledger_exportbatch": Watched(
        frozenset({"totals", "booked", "written", "residues", "journal_ids"})
    ),
    "ledger_glmapping": _ALL,
    "ledger_manualadjustment": _ALL,
    "ledger_policy": _ALL,
    "ledger_provisionmatrix": _ALL,
    "ledger_reopening": _ALL,
    "pricing_bonusslab": _ALL,
    "pricing_campaign": Watched(frozenset({"spent", "grants"})),
    "pricing_charge": _ALL,
    "pricing_chargemetric": _ALL,
    "pricing_coupon": Watched(frozenset({"redemptions"})),
    "pricing_creditunit": _ALL,
    "pricing_granttemplate": _ALL,
    "pricing_metric": _ALL,
    "pricing_offering": _ALL,
    "pricing_pack": _ALL,
    "pricing_rateplan": _ALL,
    "pricing_rateplanversion": _ALL,
    "pricing_topuprule": _ALL,
    "wallets_alertthreshold": Watched(frozenset({"crossed_at"})),
    "wallets_autorefill": Watched(frozenset({"failures", "next_attempt_at"})),
    "wallets_budget": Watched(frozenset({"live_values", "live_until"})),
    "wallets_unitwallet": _LIMITS,
    "wallets_wallet": _LIMITS,
    "webhooks_webhookendpoint": Watched(frozenset({"failing_since", "off_position"})),
    "webhooks_webhooksecret": _ALL,
}

_CHANGES: Final = ("INSERT INTO ", "UPDATE ", "DELETE FROM ")
_TABLE: Final = re.compile(r'(?:INSERT INTO|UPDATE|DELETE FROM) "?(\w+)')
_COLUMN: Final = re.compile(r'"(\w+)" = ')
_NAME: Final = "SELECT set_config('aforo.actor', %s, true)"

Execute = Callable[[str, Any, bool, dict[str, Any]], Any]


def name_actor(
    execute: Execute,
    sql: str,
    params: Any,
    many: bool,  # noqa: FBT001
    context: dict[str, Any],
) -> Any:
    """Execute a statement; where it changes configuration, its triggers know who acts."""
    if not isinstance(sql, str) or not sql.startswith(_CHANGES) or not _is_configuration(sql):
        return execute(sql, params, many, context)
    connection = context["connection"]
    if connection.in_atomic_block:
        return _named(execute, sql, params, many, context)
    with transaction.atomic(using=connection.alias):
        return _named(execute, sql, params, many, context)


def _is_configuration(sql: str) -> bool:
    found = _TABLE.match(sql)
    watched = CONFIGURATION.get(found[1]) if found else None
    if watched is None:
        return False
    if not sql.startswith("UPDATE"):
        return True
    return watched.concerns(frozenset(_COLUMN.findall(sql.partition(" WHERE ")[0])))


def _named(
    execute: Execute,
    sql: str,
    params: Any,
    many: bool,  # noqa: FBT001
    context: dict[str, Any],
) -> Any:
    with connections[context["connection"].alias].cursor() as cursor:
        cursor.execute(_NAME, [json.dumps(actors.cause())])
    return execute(sql, params, many, context)
