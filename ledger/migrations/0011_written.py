"""What the file of a batch says, beside what its entries posted; it is no configuration."""

from django.db import migrations, models

COUNTERS = """
DROP TRIGGER ledger_exportbatch_audit_trail ON ledger_exportbatch;
CREATE TRIGGER ledger_exportbatch_audit_trail AFTER INSERT OR UPDATE OR DELETE ON ledger_exportbatch
    FOR EACH ROW EXECUTE FUNCTION access_record_change('{counters}', '', '');
ALTER TABLE ledger_exportbatch ENABLE ALWAYS TRIGGER ledger_exportbatch_audit_trail;
"""
NOW = COUNTERS.format(counters="totals booked written residues journal_ids")
BEFORE = COUNTERS.format(counters="totals booked residues journal_ids")


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0016_audit_trail"),
        ("ledger", "0010_approvals"),
    ]
    operations = [
        migrations.AddField(
            "exportbatch",
            "written",
            models.JSONField(
                null=True,
                help_text=(
                    "What its file says, rounded, in the same way; of batches of 0.1.0 not known."
                ),
            ),
        ),
        migrations.RunSQL(NOW, BEFORE),
    ]
