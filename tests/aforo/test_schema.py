"""Tables that are not this version's are found, whatever the names of applied migrations say."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client

from aforo.serving import database_schema

pytestmark = pytest.mark.django_db

CHANGES = {
    "ALTER TABLE ledger_closesum RENAME TO ledger_closesum_then":
        "the table ledger_closesum is missing",
    "ALTER TABLE billing_customer DROP COLUMN tax_id": "billing_customer.tax_id is missing",
    "ALTER TABLE billing_customer ALTER COLUMN region TYPE varchar(10)":
        "billing_customer.region is character varying(10) instead of character varying(50)",
    "ALTER TABLE billing_customer ALTER COLUMN name DROP NOT NULL":
        "billing_customer.name may be empty",
    "ALTER TABLE billing_customer ADD COLUMN vat text NOT NULL":
        "billing_customer.vat is unknown to this version and must be filled",
    "ALTER TABLE pricing_coupon DROP CONSTRAINT pricing_coupon_value":
        "pricing_coupon_value of pricing_coupon is missing",
    "DROP INDEX billing_subscription_due":
        "billing_subscription_due of billing_subscription is missing",
    "DELETE FROM django_migrations WHERE app = 'billing' AND name = '0003_schedule'":
        "migrations are not applied (first: billing.0003_schedule)",
}  # fmt: skip


def test_the_tables_that_migrations_make_are_those_of_the_models(client: Client) -> None:
    assert database_schema.faults() == []
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize("change", CHANGES)
def test_what_differs_is_named_with_what_to_do(client: Client, change: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(change)

    answer = client.get("/readyz")

    assert answer.status_code == 503
    reason = answer.json()["reason"]
    assert CHANGES[change] in reason
    assert "manage.py migrate" in reason
    with pytest.raises(CommandError, match="Run: manage"):
        call_command("serve", "--port", "0")


def test_columns_that_a_later_version_added_do_no_harm(client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE billing_customer ADD COLUMN vat text, ADD COLUMN n int DEFAULT 1"
        )

    assert client.get("/readyz").status_code == 200


def test_a_migration_that_a_later_version_applied_does_no_harm(client: Client) -> None:
    MigrationRecorder(connection).record_applied("billing", "9999_later")

    assert client.get("/readyz").status_code == 200


def test_a_database_from_before_the_first_version_is_refused_by_all(
    client: Client, settings: LazySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.VAR_DIR = tmp_path
    monkeypatch.delenv("DATABASE_URL", raising=False)
    MigrationRecorder(connection).record_applied(*database_schema.MARK_OF_FORMER)

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["reason"] == (
        "The database is not this version's: it was made by a development version before 0.1.0. "
        "Such a database is not upgraded: go back to the version that made it, or begin with an "
        "empty database (of development: stop it by manage.py devdb stop, and remove var/pg)."
    )
    before = MigrationRecorder(connection).applied_migrations().keys()
    with pytest.raises(CommandError, match="begin with an empty"):
        call_command("serve", "--port", "0")
    with pytest.raises(CommandError, match="begin with an empty"):
        call_command("migrate", verbosity=0, skip_checks=False)
    with pytest.raises(CommandError, match="begin with an empty"):
        call_command("quickstart", "--no-serve")
    assert MigrationRecorder(connection).applied_migrations().keys() == before
