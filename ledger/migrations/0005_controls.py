"""Two people decide, and what they decided stays: approvals, adjustments, seals, closes."""

from django.db import migrations

TABLES = ["ledger_adjustmentline", "ledger_seal", "ledger_sealedhead", "ledger_closepack", "ledger_closefile", "ledger_closesum"]

APPEND_ONLY = "".join(
    f"""
CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_append_only;
"""
    for table in TABLES
)

# A proposal is decided once; apart from the decision itself nothing of it ever changes.
DECIDED_TABLES = ["ledger_policy", "ledger_breakagerate", "ledger_reopening", "ledger_manualadjustment"]

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
)

LINES = """
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

# A closed month opens again only where two people have said so since it was closed.
REOPENED = """
CREATE FUNCTION ledger_period_stays_closed() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER ledger_period_stays_closed BEFORE UPDATE OR DELETE ON ledger_period
    FOR EACH ROW WHEN (OLD.status = 'CLOSED') EXECUTE FUNCTION ledger_period_stays_closed();
ALTER TABLE ledger_period ENABLE ALWAYS TRIGGER ledger_period_stays_closed;
"""

REVERSE = (
    "DROP TRIGGER ledger_period_stays_closed ON ledger_period;"
    "DROP FUNCTION ledger_period_stays_closed();"
    "DROP TRIGGER ledger_adjustmentline_undecided ON ledger_adjustmentline;"
    "DROP FUNCTION ledger_adjustment_undecided();"
    + "".join(f"DROP TRIGGER {table}_decided_once ON {table};" for table in DECIDED_TABLES)
    + "DROP FUNCTION ledger_decided_once();"
    + "".join(f"DROP TRIGGER {table}_append_only ON {table};" for table in TABLES)
)


class Migration(migrations.Migration):
    dependencies = [("ledger", "0004_exports")]
    operations = [migrations.RunSQL(APPEND_ONLY + DECIDED + LINES + REOPENED, REVERSE)]
