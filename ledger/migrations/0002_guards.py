"""The books hold against every writer: what is written stays, closed months stay closed, two people
decide once, and what names an entry is in its book.

ENABLE ALWAYS makes the row triggers fire also where session_replication_role is replica. TRUNCATE
is denied to the application's role in production; tests must be able to flush.
"""

from django.db import migrations

APPEND_ONLY_TABLES = [
    "ledger_entry",
    "ledger_posting",
    "ledger_exportrange",
    "ledger_exportpart",
    "ledger_exportreceipt",
    "ledger_adjustmentline",
    "ledger_seal",
    "ledger_sealcopy",
    "ledger_sealedhead",
    "ledger_closepack",
    "ledger_closefile",
    "ledger_closesum",
]

APPEND_ONLY = """
CREATE FUNCTION ledger_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation',
              HINT = 'Correct the books with a new entry.';
END $$;
""" + "".join(
    f"""
CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_append_only;
"""
    for table in APPEND_ONLY_TABLES
)
NOT_APPEND_ONLY = (
    "".join(f"DROP TRIGGER {table}_append_only ON {table};" for table in APPEND_ONLY_TABLES)
    + "DROP FUNCTION ledger_append_only();"
)

CLOSED_MONTHS = """
-- The first month on record also stands for every day before it.
CREATE FUNCTION ledger_is_closed(mode boolean, day date) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM ledger_accountingperiod p
        WHERE p.livemode = mode AND p.status = 'CLOSED' AND day < p.ends_on AND (
            day >= p.starts_on
            OR p.starts_on = (SELECT min(starts_on) FROM ledger_accountingperiod WHERE livemode = mode)
        )
    )
$$;

-- One look at the closed months a statement; rows are looked at only if one may lie in them.
CREATE FUNCTION ledger_entry_period_open() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    closed_until date := (SELECT max(ends_on) FROM ledger_accountingperiod WHERE status = 'CLOSED');
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
    closed_until date := (SELECT max(ends_on) FROM ledger_accountingperiod WHERE status = 'CLOSED');
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

-- A closed month opens again only where two people have said so since it was closed.
CREATE FUNCTION ledger_accountingperiod_stays_closed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR (NEW.starts_on, NEW.ends_on, NEW.livemode)
            IS DISTINCT FROM (OLD.starts_on, OLD.ends_on, OLD.livemode)
        OR (NEW.status <> 'CLOSED' AND NOT EXISTS (
            SELECT FROM ledger_reopening r
            WHERE r.period_id = OLD.id AND r.approved_at >= OLD.closed_at
        ))
    THEN
        RAISE EXCEPTION 'the accounting period is closed: % refused', TG_OP
            USING ERRCODE = 'integrity_constraint_violation',
                  HINT = 'A closed month is reopened with a reason, by two people.';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER ledger_accountingperiod_stays_closed
    BEFORE UPDATE OR DELETE ON ledger_accountingperiod
    FOR EACH ROW WHEN (OLD.status = 'CLOSED')
    EXECUTE FUNCTION ledger_accountingperiod_stays_closed();
ALTER TABLE ledger_accountingperiod ENABLE ALWAYS TRIGGER ledger_accountingperiod_stays_closed;
"""
NO_CLOSED_MONTHS = """
DROP TRIGGER ledger_accountingperiod_stays_closed ON ledger_accountingperiod;
DROP FUNCTION ledger_accountingperiod_stays_closed();
DROP TRIGGER ledger_posting_period_open ON ledger_posting;
DROP FUNCTION ledger_posting_period_open();
DROP TRIGGER ledger_entry_period_open ON ledger_entry;
DROP FUNCTION ledger_entry_period_open();
DROP FUNCTION ledger_is_closed(boolean, date);
"""

DECIDED_TABLES = [
    "ledger_policy",
    "ledger_breakagerate",
    "ledger_reopening",
    "ledger_manualadjustment",
]

# A proposal is decided once; apart from the decision itself nothing of it ever changes.
DECIDED = """
CREATE FUNCTION ledger_decided_once() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    decision text[] := ARRAY['approved_by_id', 'approved_at', 'rejected_by_id', 'rejected_at', 'entry_id'];
BEGIN
    IF TG_OP = 'DELETE' OR OLD.approved_at IS NOT NULL
        OR to_jsonb(OLD) ->> 'rejected_at' IS NOT NULL
        OR to_jsonb(OLD) - decision IS DISTINCT FROM to_jsonb(NEW) - decision
    THEN
        RAISE EXCEPTION '% is proposed and decided once: % refused', TG_TABLE_NAME, TG_OP
            USING ERRCODE = 'integrity_constraint_violation',
                  HINT = 'Propose another one.';
    END IF;
    RETURN NEW;
END $$;
""" + "".join(
    f"""
CREATE TRIGGER {table}_decided_once BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION ledger_decided_once();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_decided_once;
"""
    for table in DECIDED_TABLES
) + """
CREATE FUNCTION ledger_adjustment_undecided() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM ledger_manualadjustment a WHERE a.id = NEW.adjustment_id
        AND (a.approved_at IS NOT NULL OR a.rejected_at IS NOT NULL)
    ) THEN
        RAISE EXCEPTION 'the adjustment is decided: line refused'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER ledger_adjustmentline_undecided BEFORE INSERT ON ledger_adjustmentline
    FOR EACH ROW EXECUTE FUNCTION ledger_adjustment_undecided();
ALTER TABLE ledger_adjustmentline ENABLE ALWAYS TRIGGER ledger_adjustmentline_undecided;
"""
UNDECIDED = (
    "DROP TRIGGER ledger_adjustmentline_undecided ON ledger_adjustmentline;"
    "DROP FUNCTION ledger_adjustment_undecided();"
    + "".join(f"DROP TRIGGER {table}_decided_once ON {table};" for table in DECIDED_TABLES)
    + "DROP FUNCTION ledger_decided_once();"
)

# Also for the tables of the wallets that name an entry. One look by the primary key a row, whatever
# the planner thinks of the size of the table.
IN_BOOK = """
CREATE FUNCTION ledger_in_book_of_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.entry_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM ledger_entry WHERE id = NEW.entry_id AND book_id = NEW.book_id
    ) THEN
        RAISE EXCEPTION '% is not in the book of its entry: refused', TG_TABLE_NAME
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER ledger_posting_in_book_of_entry BEFORE INSERT ON ledger_posting
    FOR EACH ROW EXECUTE FUNCTION ledger_in_book_of_entry();
ALTER TABLE ledger_posting ENABLE ALWAYS TRIGGER ledger_posting_in_book_of_entry;
"""
NOT_IN_BOOK = """
DROP TRIGGER ledger_posting_in_book_of_entry ON ledger_posting;
DROP FUNCTION ledger_in_book_of_entry();
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0001_initial")]
    operations = [
        migrations.RunSQL(APPEND_ONLY, NOT_APPEND_ONLY),
        migrations.RunSQL(CLOSED_MONTHS, NO_CLOSED_MONTHS),
        migrations.RunSQL(DECIDED, UNDECIDED),
        migrations.RunSQL(IN_BOOK, NOT_IN_BOOK),
    ]
