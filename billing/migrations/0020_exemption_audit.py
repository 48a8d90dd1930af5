"""Certificates of exemption write the audit trail, as the other tables of configuration do."""

from django.db import migrations

TRIGGER = """
CREATE TRIGGER billing_taxexemption_audit_trail
    AFTER INSERT OR UPDATE OR DELETE ON billing_taxexemption
    FOR EACH ROW EXECUTE FUNCTION access_record_change('', '', 'customer_id=ledger_book');
ALTER TABLE billing_taxexemption ENABLE ALWAYS TRIGGER billing_taxexemption_audit_trail;
"""
NO_TRIGGER = "DROP TRIGGER billing_taxexemption_audit_trail ON billing_taxexemption;"


class Migration(migrations.Migration):
    dependencies = [("billing", "0019_draft_invoices")]
    operations = [migrations.RunSQL(TRIGGER, NO_TRIGGER)]
