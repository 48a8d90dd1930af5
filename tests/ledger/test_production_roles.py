"""docs/production.sql on a database of its own: what the application's role can and cannot do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from psycopg import sql

from tests.billing.finance.test_evidence import OPEN

# One worker migrates for all of them.
pytestmark = pytest.mark.xdist_group("roles")

ROOT = Path(__file__).parents[2]
SCRATCH = f"roles_{os.getpid()}"
# Roles belong to the whole server, so each run makes its own.
APP, OWNER = f"{SCRATCH}_app", f"{SCRATCH}_owner"
PRODUCTION = (
    (ROOT / "docs" / "production.sql")
    .read_text()
    .replace("aforo_app", APP)
    .replace("aforo_owner", OWNER)
)
GUARD_UNDONE = """
    CREATE OR REPLACE FUNCTION ledger_append_only() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN RETURN NEW; END $$
"""


def url(*, role: str = "", database: str = SCRATCH) -> str:
    own = settings.DATABASES["default"]
    options = f"?options=-c%20role%3D{role}" if role else ""
    place = f"{own['HOST']}:{own['PORT']}/{database}"
    return f"postgresql://{own['USER']}:{own['PASSWORD']}@{place}{options}"


def manage(role: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    # A directory that no other database has sealed into.
    seals = f"{os.environ['SEALS_DIR']}/{SCRATCH}"
    environment = os.environ | {"DATABASE_URL": url(role=role), "SEALS_DIR": seals}
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def scratch() -> Iterator[str]:
    """Create a database that was migrated by the owner, as the file says."""
    with psycopg.connect(url(database="postgres"), autocommit=True) as server:
        if server.info.parameter_status("is_superuser") != "on":
            pytest.skip("Roles are made by a superuser.")
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(SCRATCH)))
        try:
            apply()
            migrated = manage(OWNER, "migrate", "--verbosity", "0")
            assert migrated.returncode == 0, migrated.stderr
            apply()
            apply()
            yield SCRATCH
        finally:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(SCRATCH)))
            for role in (APP, OWNER):
                server.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))


def apply() -> None:
    with psycopg.connect(url(), autocommit=True) as database:
        database.execute(PRODUCTION.encode())


def as_app(statement: str) -> None:
    with psycopg.connect(url(role=APP)) as database:
        database.execute(statement.encode())


def test_the_application_runs_its_main_job(scratch: str) -> None:
    """Customers, debits, settlement and the proof, with nothing but the application's rights."""
    ran = manage(APP, "sweep")
    assert ran.returncode == 0, ran.stderr
    with psycopg.connect(url(role=APP)) as database:
        database.execute("INSERT INTO ledger_book (livemode, key, sequence, head_hash, created_at) "
                         "VALUES (true, 'a', 0, '', now())")  # fmt: skip
        database.execute("UPDATE ledger_book SET head_hash = ''")
        database.execute("SELECT FROM ledger_book FOR NO KEY UPDATE")
    proved = manage(APP, "verify_ledger")
    assert proved.stdout.startswith("ok: 1 books"), proved.stderr


@pytest.mark.parametrize(
    "table",
    [
        "ledger_entry",
        "ledger_posting",
        "wallets_movement",
        "ledger_seal",
        "ledger_sealedhead",
        "ledger_sealcopy",
        "billing_issueddocument",
        "billing_invoiceline",
        "billing_invoicepayment",
    ],
)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {} SET id = id",
        "DELETE FROM {}",
        "TRUNCATE {} CASCADE",
        "ALTER TABLE {} DISABLE TRIGGER USER",
        "DROP TABLE {} CASCADE",
    ],
)
def test_it_cannot_rewrite_history(scratch: str, table: str, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        as_app(statement.format(table))


def test_no_append_only_table_was_left_to_it(scratch: str) -> None:
    """tests/billing/finance/test_evidence.py lists what need not be kept."""
    with psycopg.connect(url()) as database:
        found = database.execute(
            """
            SELECT c.relname, has_table_privilege(%(app)s, c.oid, 'UPDATE')
                OR has_table_privilege(%(app)s, c.oid, 'DELETE')
            FROM pg_class c JOIN pg_trigger t ON t.tgrelid = c.oid
            JOIN pg_proc p ON p.oid = t.tgfoid AND p.proname = 'ledger_append_only'
            """,
            {"app": APP},
        ).fetchall()
        owned = database.execute(
            "SELECT count(*) FROM pg_class WHERE relowner = %s::regrole", [APP]
        ).fetchall()

    assert len(found) > 20
    assert [table for table, may in found if may] == []
    assert owned == [(0,)]


def test_of_what_is_kept_it_deletes_and_changes_nothing(scratch: str) -> None:
    """What it may delete, or write any column of, is open (tests/billing/finance/test_evidence.py
    says why), or a trigger that it cannot switch off refuses what is a fact.
    """
    with psycopg.connect(url()) as database:
        found = database.execute(
            """
            SELECT c.relname, has_table_privilege(%(app)s, c.oid, 'DELETE'),
                has_any_column_privilege(%(app)s, c.oid, 'UPDATE'),
                coalesce(bit_or(t.tgtype) & 8, 0) > 0, coalesce(bit_or(t.tgtype) & 16, 0) > 0
            FROM pg_class c
            LEFT JOIN (
                pg_trigger t
                JOIN pg_proc p ON p.oid = t.tgfoid AND p.prosrc LIKE '%%RAISE EXCEPTION%%'
            ) ON t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled = 'A'
                AND t.tgtype & 3 = 3
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
            GROUP BY c.oid ORDER BY c.relname
            """,
            {"app": APP},
        ).fetchall()

    loose = {
        table
        for table, deletes, updates, keeps_rows, keeps_facts in found
        if (deletes and not keeps_rows) or (updates and not keeps_facts)
    }
    assert len(found) > 100
    assert loose - OPEN.keys() == set(), "Keep these by a trigger, or name them in OPEN."


ISSUED = """
    INSERT INTO ledger_book (livemode, key, sequence, head_hash, created_at)
        VALUES (true, 'billed', 0, '', now());
    INSERT INTO billing_customer (book_id, name, email, country, region, tax_id, timezone, tags,
            created_at)
        SELECT id, 'C', '', '', '', '', 'UTC', '{}', now() FROM ledger_book WHERE key = 'billed';
    INSERT INTO billing_invoice (id, livemode, number, customer_id, status, starts_at, ends_at,
            subtotal, discount, tax, currency, total, from_wallet, amount_due, due_tax, paid,
            credited, returned, issued_at, created_at)
        SELECT gen_random_uuid(), true, 'INV-000001', id, 'OPEN', now(), now(), 1, 0, 0, 'USD', 1,
            0, 1, 0, 0, 0, 0, now(), now() FROM ledger_book WHERE key = 'billed';
    INSERT INTO billing_invoiceseries (livemode, document, prefix, last_number)
        VALUES (true, 'INVOICE', 'INV-', 1);
"""


@pytest.mark.parametrize(
    "statement",
    ["UPDATE billing_taxrate SET percent = 0", "DELETE FROM billing_taxrate"],
)
def test_of_a_tax_rate_it_can_write_the_end_alone(scratch: str, statement: str) -> None:
    as_app("UPDATE billing_taxrate SET valid_until = valid_until")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        as_app(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_invoice SET total = 2, amount_due = 2",
        "UPDATE billing_invoice SET number = 'INV-000002'",
        "DELETE FROM billing_invoice",
        (
            "INSERT INTO billing_invoiceline (invoice_id, position, kind, charge, description,"
            " amount, steps) SELECT id, 0, 'USAGE', '', '', 1, '[]' FROM billing_invoice"
        ),
        "UPDATE billing_invoiceseries SET last_number = 0",
        "DELETE FROM billing_invoiceseries",
    ],
)
def test_it_cannot_change_what_is_issued(scratch: str, statement: str) -> None:
    with pytest.raises(psycopg.errors.IntegrityConstraintViolation):
        as_app(ISSUED + statement)


def test_it_can_record_that_an_invoice_is_paid(scratch: str) -> None:
    with psycopg.connect(url(role=APP)) as database:
        database.execute((ISSUED + "UPDATE billing_invoice SET paid = 1, status = 'PAID'").encode())
        database.rollback()


@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE ledger_book CASCADE",
        "TRUNCATE wallets_creditlot CASCADE",
        "SET session_replication_role = replica",
        "CREATE TABLE mine (id int)",
        GUARD_UNDONE,
        "DELETE FROM django_migrations",
    ],
)
def test_it_cannot_get_around_what_guards_history(scratch: str, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        as_app(statement)


def test_what_it_changes_is_on_a_trail_that_it_cannot_write(scratch: str) -> None:
    metric = """
        INSERT INTO pricing_metric
            (livemode, code, name, aggregation, property, filters, created_at)
        VALUES (true, 'calls', 'Calls', 'COUNT', '', '[]', now())
    """
    forged = """
        INSERT INTO access_configurationchange (changed_at, actor_kind, actor_id, request_id,
            reason, customer_id, table_name, row_id, label, action, old, new)
        VALUES (now(), 'STAFF', '1', '', '', '', 'pricing_metric', '1', '', 'UPDATE', '{}', '{}')
    """
    as_app(metric)
    for statement in (
        forged,
        "UPDATE access_configurationchange SET actor_id = '1'",
        "DELETE FROM access_configurationchange",
        "ALTER TABLE pricing_metric DISABLE TRIGGER pricing_metric_audit_trail",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            as_app(statement)
    with psycopg.connect(url(role=APP)) as database:
        recorded = database.execute(
            "SELECT action, new ->> 'code' FROM access_configurationchange"
            " WHERE table_name = 'pricing_metric'"
        ).fetchall()

    assert recorded == [("INSERT", "calls")]


def test_its_waits_are_bounded(scratch: str) -> None:
    with psycopg.connect(url(database="postgres")) as server:
        (found,) = server.execute(
            "SELECT rolconfig FROM pg_roles WHERE rolname = %s", [APP]
        ).fetchone() or ([],)

    assert {"lock_timeout=5s", "statement_timeout=120s"} <= set(found)


def test_the_owner_still_meets_the_triggers(scratch: str) -> None:
    """An owner can switch them off; that is what chain and seals are for."""
    with psycopg.connect(url(role=OWNER)) as database:
        enabled = database.execute(
            "SELECT tgenabled FROM pg_trigger WHERE tgname = 'ledger_entry_append_only'"
        ).fetchone()

    assert enabled == ("A",)
