"""What was done to close a month, in rows; the last closed month is opened again first; an estimate
never starts in a closed month.
"""

import django.db.models.deletion
from django.db import migrations, models

APPEND_ONLY = """
CREATE TRIGGER ledger_closestep_append_only BEFORE UPDATE OR DELETE ON ledger_closestep
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
ALTER TABLE ledger_closestep ENABLE ALWAYS TRIGGER ledger_closestep_append_only;
"""
NOT_ANY_MORE = "DROP TRIGGER ledger_closestep_append_only ON ledger_closestep;"

IN_ORDER = """
CREATE FUNCTION ledger_accountingperiod_last_first() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM ledger_accountingperiod later
        WHERE later.livemode = OLD.livemode AND later.status = 'CLOSED'
            AND later.starts_on > OLD.starts_on
    ) THEN
        RAISE EXCEPTION 'a later month is closed: reopening refused'
            USING ERRCODE = 'integrity_constraint_violation',
                  HINT = 'Open the last closed month first.';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER ledger_accountingperiod_z_last_first BEFORE UPDATE ON ledger_accountingperiod
    FOR EACH ROW WHEN (OLD.status = 'CLOSED' AND NEW.status <> 'CLOSED')
    EXECUTE FUNCTION ledger_accountingperiod_last_first();
ALTER TABLE ledger_accountingperiod ENABLE ALWAYS TRIGGER ledger_accountingperiod_z_last_first;
"""
IN_ANY_ORDER = """
DROP TRIGGER ledger_accountingperiod_z_last_first ON ledger_accountingperiod;
DROP FUNCTION ledger_accountingperiod_last_first();
"""

ESTIMATES = """
CREATE FUNCTION ledger_estimate_in_open_month() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF ledger_is_closed(NEW.livemode, NEW.starts_on) THEN
        RAISE EXCEPTION '% starts in a closed month: refused', TG_TABLE_NAME
            USING ERRCODE = 'integrity_constraint_violation',
                  HINT = 'A change of estimate starts in an open month.';
    END IF;
    RETURN NEW;
END $$;
""" + "".join(
    f"""
CREATE TRIGGER {table}_in_open_month BEFORE INSERT OR UPDATE ON {table}
    FOR EACH ROW WHEN (NEW.approved_at IS NOT NULL)
    EXECUTE FUNCTION ledger_estimate_in_open_month();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_in_open_month;
"""
    for table in ("ledger_policy", "ledger_breakagerate")
)
ANY_ESTIMATES = """
DROP TRIGGER ledger_breakagerate_in_open_month ON ledger_breakagerate;
DROP TRIGGER ledger_policy_in_open_month ON ledger_policy;
DROP FUNCTION ledger_estimate_in_open_month();
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0007_exchange_rates")]
    operations = [
        migrations.CreateModel(
            name="CloseStep",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "number",
                    models.PositiveSmallIntegerField(help_text="Of the pack that it is done for."),
                ),
                ("step", models.CharField(max_length=40)),
                ("by", models.CharField(max_length=150)),
                ("done_at", models.DateTimeField()),
                ("result", models.TextField()),
                ("evidence", models.JSONField(blank=True, default=dict)),
                (
                    "period",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="steps",
                        to="ledger.accountingperiod",
                    ),
                ),
            ],
        ),
        migrations.RunSQL(APPEND_ONLY, NOT_ANY_MORE),
        migrations.RunSQL(IN_ORDER, IN_ANY_ORDER),
        migrations.RunSQL(ESTIMATES, ANY_ESTIMATES),
    ]
