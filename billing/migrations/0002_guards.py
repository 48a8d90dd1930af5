"""Usage events are append-only: what was metered is never edited, for every writer."""

from django.db import migrations

GUARD = """
CREATE TRIGGER billing_usageevent_append_only BEFORE UPDATE OR DELETE ON billing_usageevent
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
ALTER TABLE billing_usageevent ENABLE ALWAYS TRIGGER billing_usageevent_append_only;
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial"), ("ledger", "0002_guards")]
    operations = [
        migrations.RunSQL(
            GUARD, "DROP TRIGGER billing_usageevent_append_only ON billing_usageevent;"
        )
    ]
