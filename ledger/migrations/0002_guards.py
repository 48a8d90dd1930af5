"""The books hold against every writer: append-only entries and postings, closed periods.

ENABLE ALWAYS makes the row triggers fire also where session_replication_role is replica. TRUNCATE
is denied to the application's role in production; tests must be able to flush.
"""

from django.db import migrations

APPEND_ONLY = """
CREATE FUNCTION ledger_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation',
              HINT = 'Correct the books with a new entry.';
END $$;

CREATE TRIGGER ledger_entry_append_only BEFORE UPDATE OR DELETE ON ledger_entry
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER ledger_entry_append_only;

CREATE TRIGGER ledger_posting_append_only BEFORE UPDATE OR DELETE ON ledger_posting
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
ALTER TABLE ledger_posting ENABLE ALWAYS TRIGGER ledger_posting_append_only;

-- The first month on record also stands for every day before it.
CREATE FUNCTION ledger_is_closed(mode boolean, day date) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM ledger_period p
        WHERE p.livemode = mode AND p.status = 'CLOSED' AND day < p.ends_on AND (
            day >= p.starts_on
            OR p.starts_on = (SELECT min(starts_on) FROM ledger_period WHERE livemode = mode)
        )
    )
$$;

-- One look at the closed months a statement; rows are looked at only if one may lie in them.
CREATE FUNCTION ledger_entry_period_open() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    closed_until date := (SELECT max(ends_on) FROM ledger_period WHERE status = 'CLOSED');
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

CREATE TRIGGER ledger_entry_period_open AFTER INSERT ON ledger_entry
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_entry_period_open();
ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER ledger_entry_period_open;

CREATE FUNCTION ledger_posting_period_open() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    closed_until date := (SELECT max(ends_on) FROM ledger_period WHERE status = 'CLOSED');
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

CREATE TRIGGER ledger_posting_period_open AFTER INSERT ON ledger_posting
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_posting_period_open();
ALTER TABLE ledger_posting ENABLE ALWAYS TRIGGER ledger_posting_period_open;
"""

REVERSE = """
DROP TRIGGER ledger_posting_period_open ON ledger_posting;
DROP FUNCTION ledger_posting_period_open();
DROP TRIGGER ledger_entry_period_open ON ledger_entry;
DROP FUNCTION ledger_entry_period_open();
DROP FUNCTION ledger_is_closed(boolean, date);
DROP TRIGGER ledger_posting_append_only ON ledger_posting;
DROP TRIGGER ledger_entry_append_only ON ledger_entry;
DROP FUNCTION ledger_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0001_initial")]
    operations = [migrations.RunSQL(APPEND_ONLY, REVERSE)]
