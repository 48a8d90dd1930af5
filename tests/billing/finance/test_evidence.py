"""What evidence rests on is kept by the database: every table is either kept by its triggers, or is
named here with the reason why it need not be.

A new table belongs in one of the two; so does a new column of a table that is kept, which its
trigger freezes unless it names it as one that changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import override_settings
from pytest_django import DjangoDbBlocker

from tests import lived
from tests.admin import company

pytestmark = pytest.mark.django_db

# Tables that no figure of the books rests on, or whose figures rest on others: why each is open.
CONFIGURATION = "Terms for what comes; what was done by them is kept where it was done."
STATE = "Where work stands; what it did is kept where it was done."
CACHE = "Computed from what is kept, and compared with it by verify_ledger."
FRAMEWORK = "Of Django or Celery; nothing of the books."
OPEN = {
    "access_apikey": CONFIGURATION,
    "access_loginfailures": STATE,
    "auth_group": FRAMEWORK,
    "auth_group_permissions": FRAMEWORK,
    "auth_permission": FRAMEWORK,
    "auth_user": FRAMEWORK,
    "auth_user_groups": FRAMEWORK,
    "auth_user_user_permissions": FRAMEWORK,
    "billing_backtest": "A simulation; no figure of the books.",
    "billing_backtestcycle": "A simulation; no figure of the books.",
    "billing_campaignrun": STATE,
    "billing_customer": "Master data; a document keeps what it was as it was issued.",
    "billing_mail": "Letters with personal data; the reminder that one told of is kept.",
    "billing_milestonewatch": STATE,
    "billing_onetimebenefit": STATE,
    "billing_settlementrun": STATE,
    "billing_settlementrunitem": STATE,
    "billing_subscription": "The contract as it stands; its cycles are kept as they are settled.",
    "billing_usagereservation": CACHE,
    "billing_usagerollup": CACHE,
    "billing_workerheartbeat": STATE,
    "django_admin_log": FRAMEWORK,
    "django_celery_beat_clockedschedule": FRAMEWORK,
    "django_celery_beat_crontabschedule": FRAMEWORK,
    "django_celery_beat_intervalschedule": FRAMEWORK,
    "django_celery_beat_periodictask": FRAMEWORK,
    "django_celery_beat_periodictasks": FRAMEWORK,
    "django_celery_beat_solarschedule": FRAMEWORK,
    "django_content_type": FRAMEWORK,
    "django_migrations": "The owner's alone; the application may only read it.",
    "django_session": FRAMEWORK,
    "ledger_glmapping": "Terms for what comes; a batch keeps its file, and which rules made it.",
    "pricing_bonusslab": CONFIGURATION,
    "pricing_campaign": "Its terms are frozen once it runs; a grant keeps what it gave.",
    "pricing_coupon": CONFIGURATION,
    "pricing_creditunit": CONFIGURATION,
    "pricing_metric": "What it counts is frozen; a name is not.",
    "pricing_offering": CONFIGURATION,
    "pricing_rateplan": "What versions rest on is frozen; a name is not.",
    "pricing_topuprule": CONFIGURATION,
    "sandbox_testclock": "The time of test customers.",
    "wallets_alertthreshold": CONFIGURATION,
    "wallets_autorefill": CONFIGURATION,
    "wallets_budget": "Each change of its terms is kept beside it.",
    "wallets_budgetcounter": CACHE,
    "wallets_budgetdelta": CACHE,
    "wallets_spentday": "Added up from movements for alerts; no figure of the books.",
    "wallets_unitwallet": CACHE,
    "wallets_wallet": CACHE,
    "webhooks_outboxevent": STATE,
    "webhooks_webhookdelivery": STATE,
    "webhooks_webhookendpoint": CONFIGURATION,
    "webhooks_webhooksecret": CONFIGURATION,
    "webhooks_webhookstream": STATE,
}

# Of each table, what its triggers before a change of a row refuse: those that raise something, and
# fire whatever session_replication_role is. The arguments of `ledger_frozen_but` are the columns
# that may change.
_GUARDS = """
    SELECT c.relname, coalesce(p.proname, ''), coalesce(t.tgtype & 16, 0),
        coalesce(t.tgtype & 8, 0), coalesce(encode(t.tgargs, 'escape'), '')
    FROM pg_class c
    LEFT JOIN (
        pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid AND p.prosrc LIKE '%RAISE EXCEPTION%'
    ) ON t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled = 'A' AND t.tgtype & 3 = 3
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
    ORDER BY c.relname, t.tgname
"""
_COLUMNS = """
    SELECT column_name, data_type FROM information_schema.columns
    WHERE table_schema = 'public' AND table_name = %s AND is_generated = 'NEVER'
    ORDER BY ordinal_position
"""
# Another value of each type than a row has.
OTHER = {
    "boolean": "NOT {0}",
    "ARRAY": "'{{}}'",
    "bigint": "{0} + 1",
    "bytea": "'x'::bytea",
    "character varying": "left({0} || 'x', 1) || 'y'",
    "date": "{0} + 1",
    "integer": "{0} + 1",
    "jsonb": """'{{"other": "1"}}'::jsonb""",
    "numeric": "{0} + 1",
    "smallint": "{0} + 1",
    "text": "{0} || 'x'",
    "timestamp with time zone": "{0} + interval '1 day'",
    "uuid": "gen_random_uuid()",
}


@dataclass
class Kept:
    """What a table's triggers refuse."""

    deletes: bool = False
    updates: bool = False
    changing: frozenset[str] = frozenset()


def kept() -> dict[str, Kept]:
    """Return, by table, what its triggers refuse."""
    with connection.cursor() as cursor:
        cursor.execute(_GUARDS)
        found: dict[str, Kept] = {}
        for table, function, updates, deletes, arguments in cursor.fetchall():
            guard = found.setdefault(table, Kept())
            guard.deletes |= bool(deletes)
            guard.updates |= bool(updates)
            if function == "ledger_frozen_but" and updates:
                guard.changing |= frozenset(arguments.split("\\000")[:-1])
    return found


def refused(statement: str) -> bool:
    """Return whether a trigger refuses a statement; a check or key that does so first is no
    answer.
    """
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
            transaction.set_rollback(True)
    except IntegrityError as error:
        return "refused" in str(error) or "never change" in str(error)
    return False


def test_every_table_is_kept_or_says_why_not() -> None:
    guards = kept()
    is_kept = {table for table, guard in guards.items() if guard.deletes and guard.updates}

    assert guards.keys() - is_kept - OPEN.keys() == set(), (
        "Keep these by a trigger (ledger_append_only, ledger_frozen_but), or name them in OPEN."
    )
    assert OPEN.keys() - guards.keys() == set(), "These are gone."
    assert OPEN.keys() & is_kept == set(), "These are kept now."


class TestRows:
    """Of a company that has lived two months, every fact of every kept table."""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def world(
        cls,
        django_db_setup: None,
        django_db_blocker: DjangoDbBlocker,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> Iterator[None]:
        with (
            override_settings(SEALS_DIR=tmp_path_factory.mktemp("seals"), BACKDATED_CYCLES=1_000),
            lived.once(company.live, django_db_blocker),
        ):
            yield

    def test_no_row_is_deleted(self) -> None:
        with_rows = [
            table
            for table, guard in kept().items()
            if guard.deletes and table not in OPEN and self.has_rows(table)
        ]

        assert len(with_rows) > 30
        assert [table for table in with_rows if not refused(f"DELETE FROM {table}")] == []

    def test_no_fact_is_changed(self) -> None:
        changed = []
        for table, guard in kept().items():
            if not guard.updates or table in OPEN or not self.has_rows(table):
                continue
            for column, of_type in self.columns(table):
                if column in guard.changing:
                    continue
                other = OTHER[of_type].format(f'"{column}"')
                change = f'UPDATE {table} SET "{column}" = {other}'
                is_refused = any(refused(f"{change} {row}") for row in self.rows(table))
                if not is_refused and self.has_rows(f'{table} WHERE "{column}" IS NOT NULL'):
                    changed.append(f"{table}.{column}")
        assert not changed, " ".join(changed)

    def has_rows(self, table: str) -> bool:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT EXISTS (SELECT FROM {table})")
            return bool(cursor.fetchall()[0][0])

    def rows(self, table: str) -> list[str]:
        """Return a condition for each row: of several, one that is still open may come first."""
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT format('WHERE ctid = %L', ctid) FROM {table}")
            return [condition for (condition,) in cursor.fetchall()]

    def columns(self, table: str) -> list[tuple[str, str]]:
        with connection.cursor() as cursor:
            cursor.execute(_COLUMNS, [table])
            return [(name, of_type) for name, of_type in cursor.fetchall()]
