"""The table of accounting periods is called as its class is, and so are its guards."""

from django.db import migrations, models

TABLE = "ledger_accountingperiod"

# As before but for the table that they read.
READ_PERIODS = """
CREATE OR REPLACE FUNCTION ledger_is_closed(mode boolean, day date) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM {table} p
        WHERE p.livemode = mode AND p.status = 'CLOSED' AND day < p.ends_on AND (
            day >= p.starts_on
            OR p.starts_on = (SELECT min(starts_on) FROM {table} WHERE livemode = mode)
        )
    )
$$;

CREATE OR REPLACE FUNCTION ledger_entry_period_open() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    closed_until date := (SELECT max(ends_on) FROM {table} WHERE status = 'CLOSED');
BEGIN
    IF (SELECT min(accounting_date) FROM added) < closed_until AND EXISTS (
        SELECT FROM added JOIN ledger_book b ON b.id = added.book_id
        WHERE ledger_is_closed(b.livemode, added.accounting_date)
    ) THEN
        RAISE EXCEPTION 'the accounting period is closed: entry refused'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION ledger_posting_period_open() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    closed_until date := (SELECT max(ends_on) FROM {table} WHERE status = 'CLOSED');
BEGIN
    IF closed_until IS NOT NULL AND EXISTS (
        SELECT FROM added
        JOIN ledger_entry e ON e.id = added.entry_id AND e.accounting_date < closed_until
        JOIN ledger_book b ON b.id = e.book_id
        WHERE ledger_is_closed(b.livemode, e.accounting_date)
    ) THEN
        RAISE EXCEPTION 'the accounting period is closed: posting refused'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
"""
GUARD = "ALTER TRIGGER {old}_stays_closed ON {table} RENAME TO {new}_stays_closed;"
FUNCTION = "ALTER FUNCTION {old}_stays_closed() RENAME TO {new}_stays_closed;"
GUARDS = GUARD + FUNCTION


class Migration(migrations.Migration):
    dependencies = [("ledger", "0009_posting_book")]
    operations = [
        migrations.RunSQL(
            migrations.RunSQL.noop, READ_PERIODS.format(table="ledger_period")
        ),
        migrations.RemoveConstraint("accountingperiod", "ledger_period_month"),
        migrations.RemoveConstraint("accountingperiod", "ledger_period_order"),
        migrations.RemoveConstraint("accountingperiod", "ledger_period_live"),
        migrations.AlterModelTable(name="accountingperiod", table=None),
        migrations.AddConstraint(
            "accountingperiod",
            models.UniqueConstraint(fields=["livemode", "starts_on"], name=f"{TABLE}_month"),
        ),
        migrations.AddConstraint(
            "accountingperiod",
            models.CheckConstraint(
                condition=models.Q(ends_on__gt=models.F("starts_on")), name=f"{TABLE}_order"
            ),
        ),
        migrations.AddConstraint(
            "accountingperiod",
            models.CheckConstraint(condition=models.Q(livemode=True), name=f"{TABLE}_live"),
        ),
        migrations.RunSQL(
            GUARDS.format(old="ledger_period", new=TABLE, table=TABLE),
            GUARDS.format(old=TABLE, new="ledger_period", table=TABLE),
        ),
        migrations.RunSQL(READ_PERIODS.format(table=TABLE), migrations.RunSQL.noop),
    ]
