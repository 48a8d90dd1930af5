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

CREATE FUNCTION ledger_period_open() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM ledger_period p
        JOIN added e ON e.accounting_date >= p.starts_on AND e.accounting_date < p.ends_on
        JOIN ledger_book b ON b.id = e.book_id AND b.livemode = p.livemode
        WHERE p.status = 'CLOSED'
    ) THEN
        RAISE EXCEPTION 'the accounting period is closed'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER ledger_entry_period_open AFTER INSERT ON ledger_entry
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_period_open();
ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER ledger_entry_period_open;
"""

REVERSE = """
DROP TRIGGER ledger_entry_period_open ON ledger_entry;
DROP FUNCTION ledger_period_open();
DROP TRIGGER ledger_posting_append_only ON ledger_posting;
DROP TRIGGER ledger_entry_append_only ON ledger_entry;
DROP FUNCTION ledger_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0001_initial")]
    operations = [migrations.RunSQL(APPEND_ONLY, REVERSE)]
