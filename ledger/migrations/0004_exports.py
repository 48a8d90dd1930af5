"""What was exported stays as it was: files, the ranges of entries in them, and receipts are append-only."""

from django.db import migrations

APPEND_ONLY = """
CREATE TRIGGER ledger_exportrange_append_only BEFORE UPDATE OR DELETE ON ledger_exportrange
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
ALTER TABLE ledger_exportrange ENABLE ALWAYS TRIGGER ledger_exportrange_append_only;

CREATE TRIGGER ledger_exportpart_append_only BEFORE UPDATE OR DELETE ON ledger_exportpart
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
ALTER TABLE ledger_exportpart ENABLE ALWAYS TRIGGER ledger_exportpart_append_only;

CREATE TRIGGER ledger_exportreceipt_append_only BEFORE UPDATE OR DELETE ON ledger_exportreceipt
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
ALTER TABLE ledger_exportreceipt ENABLE ALWAYS TRIGGER ledger_exportreceipt_append_only;
"""

REVERSE = """
DROP TRIGGER ledger_exportreceipt_append_only ON ledger_exportreceipt;
DROP TRIGGER ledger_exportpart_append_only ON ledger_exportpart;
DROP TRIGGER ledger_exportrange_append_only ON ledger_exportrange;
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0003_chart")]
    operations = [migrations.RunSQL(APPEND_ONLY, REVERSE)]
