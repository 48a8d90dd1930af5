"""What the database refuses whoever writes: an event is never edited, a cycle never overlaps another
of its subscription (so each event is in one settlement), and who pays a settlement pays its total.
"""

from django.db import migrations

APPEND_ONLY = """
CREATE TRIGGER billing_usageevent_append_only BEFORE UPDATE OR DELETE ON billing_usageevent
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
ALTER TABLE billing_usageevent ENABLE ALWAYS TRIGGER billing_usageevent_append_only;
"""
CYCLES_APART = """
CREATE FUNCTION billing_cycles_apart() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.kind = 'CYCLE' AND NEW.status <> 'VOIDED' AND EXISTS (
        SELECT 1 FROM billing_settlement other
        WHERE other.subscription_id = NEW.subscription_id AND other.id <> NEW.id
            AND other.kind = 'CYCLE' AND other.status <> 'VOIDED'
            AND other.starts_at < NEW.ends_at AND other.ends_at > NEW.starts_at
    ) THEN
        RAISE EXCEPTION 'cycle % of subscription % overlaps another', NEW.cycle, NEW.subscription_id
            USING ERRCODE = 'exclusion_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_settlement_apart BEFORE INSERT OR UPDATE OF starts_at, ends_at, status, kind
    ON billing_settlement FOR EACH ROW EXECUTE FUNCTION billing_cycles_apart();
"""
TOTALS = """
ALTER TABLE billing_settlement ADD CONSTRAINT billing_settlement_totals CHECK (
    status = 'SEALED' OR coalesce(
        (totals ->> 'total')::numeric =
            (totals #>> '{from_wallet,PROMO}')::numeric
            + (totals #>> '{from_wallet,BONUS}')::numeric
            + (totals #>> '{from_wallet,CASH}')::numeric
            + (totals ->> 'to_invoice')::numeric + (totals ->> 'arrears')::numeric
        AND (totals ->> 'to_invoice')::numeric >= 0 AND (totals ->> 'arrears')::numeric >= 0
        AND (totals ->> 'discount')::numeric BETWEEN 0 AND (totals ->> 'subtotal')::numeric,
        false
    )
);
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial"), ("ledger", "0002_guards")]
    operations = [
        migrations.RunSQL(
            APPEND_ONLY, "DROP TRIGGER billing_usageevent_append_only ON billing_usageevent;"
        ),
        migrations.RunSQL(CYCLES_APART, "DROP FUNCTION billing_cycles_apart CASCADE;"),
        migrations.RunSQL(
            TOTALS, "ALTER TABLE billing_settlement DROP CONSTRAINT billing_settlement_totals;"
        ),
    ]
