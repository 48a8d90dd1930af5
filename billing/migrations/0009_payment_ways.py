"""By which way an invoice was paid; a payment, once recorded, is never changed."""

from django.db import migrations, models

APPEND_ONLY = """
CREATE OR REPLACE TRIGGER billing_invoicepayment_append_only
    BEFORE UPDATE OR DELETE ON billing_invoicepayment
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
ALTER TABLE billing_invoicepayment ENABLE ALWAYS TRIGGER billing_invoicepayment_append_only;
"""
NOT_ANY_MORE = """
DROP TRIGGER IF EXISTS billing_invoicepayment_append_only ON billing_invoicepayment;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0008_forgiven_usage'),
        ('ledger', '0004_budgets'),
    ]

    operations = [
        migrations.AddField(
            model_name='invoicepayment',
            name='paid_by',
            field=models.CharField(choices=[('BANK', 'Bank account'), ('PROCESSOR', 'Processor of payments')], db_default='BANK', default='BANK', help_text='Whose account it came into: 1000 or 1010.', max_length=9),
        ),
        migrations.AddConstraint(
            model_name='invoicepayment',
            constraint=models.CheckConstraint(condition=models.Q(('paid_by__in', ['BANK', 'PROCESSOR'])), name='billing_invoicepayment_paid_by'),
        ),
        migrations.RunSQL(APPEND_ONLY, NOT_ANY_MORE),
    ]
