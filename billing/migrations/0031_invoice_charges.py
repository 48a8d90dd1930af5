"""Invoices charged through the gateway: each attempt is kept, and concluded once."""

import aforo.ids
import django.db.models.deletion
import django.db.models.functions.math
from django.db import migrations, models


KEPT = """
CREATE TRIGGER billing_invoicecharge_kept BEFORE UPDATE OR DELETE ON billing_invoicecharge
    FOR EACH ROW EXECUTE FUNCTION ledger_frozen_but(
        status, asked, ask_again_at, payment_id, concluded_at);
ALTER TABLE billing_invoicecharge ENABLE ALWAYS TRIGGER billing_invoicecharge_kept;

CREATE TRIGGER billing_invoicecharge_concluded_once BEFORE UPDATE ON billing_invoicecharge
    FOR EACH ROW WHEN (OLD.status <> 'PENDING') EXECUTE FUNCTION ledger_frozen_but();
ALTER TABLE billing_invoicecharge ENABLE ALWAYS TRIGGER billing_invoicecharge_concluded_once;
"""
NOT_KEPT = """
DROP TRIGGER billing_invoicecharge_concluded_once ON billing_invoicecharge;
DROP TRIGGER billing_invoicecharge_kept ON billing_invoicecharge;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0030_future_starts'),
        ('ledger', '0011_written'),
    ]

    operations = [
        migrations.CreateModel(
            name='InvoiceCharge',
            fields=[
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('attempt', models.PositiveSmallIntegerField(help_text='1 as it is issued, then with reminders.')),
                ('amount', models.DecimalField(decimal_places=12, max_digits=38)),
                ('currency', models.CharField(max_length=3)),
                ('method', models.CharField(max_length=50)),
                ('status', models.CharField(choices=[('PENDING', 'Pending'), ('SUCCEEDED', 'Succeeded'), ('DECLINED', 'Declined')], default='PENDING', max_length=9)),
                ('asked', models.PositiveSmallIntegerField(default=0, help_text='How often the gateway had no answer.')),
                ('ask_again_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(help_text="In the customer's time.")),
                ('concluded_at', models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.RemoveConstraint(
            model_name='invoicepayment',
            name='billing_invoicepayment_amounts',
        ),
        migrations.AddField(
            model_name='customer',
            name='collection_method',
            field=models.CharField(choices=[('SEND_INVOICE', 'Send the invoice'), ('CHARGE_AUTOMATICALLY', 'Charge the payment method')], db_default='SEND_INVOICE', default='SEND_INVOICE', help_text='Whether the customer pays its invoices, or its payment method is charged.', max_length=20),
        ),
        migrations.AddField(
            model_name='customer',
            name='payment_method',
            field=models.CharField(blank=True, db_default='', default='', help_text='The method that is charged, as the payment gateway knows it.', max_length=50),
        ),
        migrations.AddConstraint(
            model_name='invoicepayment',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gt', 0), ('applied__gte', 0), ('applied__lte', models.F('amount'))), name='billing_invoicepayment_amounts'),
        ),
        migrations.AddField(
            model_name='invoicecharge',
            name='invoice',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='charges', to='billing.invoice'),
        ),
        migrations.AddField(
            model_name='invoicecharge',
            name='payment',
            field=models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='charge', to='billing.invoicepayment'),
        ),
        migrations.AddConstraint(
            model_name='invoicecharge',
            constraint=models.UniqueConstraint(fields=('invoice', 'attempt'), name='billing_invoicecharge_attempt'),
        ),
        migrations.AddConstraint(
            model_name='invoicecharge',
            constraint=models.UniqueConstraint(condition=models.Q(('status', 'PENDING')), fields=('invoice',), name='billing_invoicecharge_one_pending'),
        ),
        migrations.AddConstraint(
            model_name='invoicecharge',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gt', 0)), name='billing_invoicecharge_amount'),
        ),
        migrations.AddConstraint(
            model_name='invoicecharge',
            constraint=models.CheckConstraint(condition=models.Q(('amount', None), ('amount', django.db.models.functions.math.Round(models.F('amount'), precision=models.Case(models.When(models.Q(('currency__in', ['CLP', 'JPY', 'KRW'])), then=models.Value(0)), models.When(models.Q(('currency__in', ['BHD', 'KWD'])), then=models.Value(3)), default=models.Value(2)))), _connector='OR'), name='billing_invoicecharge_payable'),
        ),
        migrations.AddConstraint(
            model_name='invoicecharge',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('concluded_at', None), ('payment', None), ('status', 'PENDING')), models.Q(('concluded_at__isnull', False), ('payment__isnull', False), ('status', 'SUCCEEDED')), models.Q(('concluded_at__isnull', False), ('payment', None), ('status', 'DECLINED')), _connector='OR'), name='billing_invoicecharge_concluded'),
        ),
        migrations.RunSQL(KEPT, NOT_KEPT),
    ]
