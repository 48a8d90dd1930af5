"""Payments of the bank: taken once, decided once, and never changed."""

import aforo.actors
import aforo.ids
import django.db.models.deletion
import django.db.models.functions.math
from django.db import migrations, models


KEPT = """
CREATE TRIGGER billing_bankpayment_kept BEFORE UPDATE OR DELETE ON billing_bankpayment
    FOR EACH ROW EXECUTE FUNCTION ledger_frozen_but(
        state, reason, decided_by_kind, decided_by_id, decided_at);
ALTER TABLE billing_bankpayment ENABLE ALWAYS TRIGGER billing_bankpayment_kept;

-- It is decided once.
CREATE TRIGGER billing_bankpayment_decided_once BEFORE UPDATE ON billing_bankpayment
    FOR EACH ROW WHEN (OLD.state <> 'UNMATCHED') EXECUTE FUNCTION ledger_frozen_but();
ALTER TABLE billing_bankpayment ENABLE ALWAYS TRIGGER billing_bankpayment_decided_once;
"""
NOT_KEPT = """
DROP TRIGGER billing_bankpayment_decided_once ON billing_bankpayment;
DROP TRIGGER billing_bankpayment_kept ON billing_bankpayment;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0021_dunning'),
    ]

    operations = [
        migrations.CreateModel(
            name='BankPayment',
            fields=[
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('livemode', models.BooleanField()),
                ('account', models.CharField(help_text='The bank account that it came to.', max_length=50)),
                ('bank_reference', models.CharField(help_text="The bank's own; where it has none, a hash of the line.", max_length=200)),
                ('booked_on', models.DateField()),
                ('currency', models.CharField(max_length=3)),
                ('amount', models.DecimalField(decimal_places=12, max_digits=38)),
                ('text', models.CharField(blank=True, help_text='What the payer wrote.', max_length=1000)),
                ('payer', models.CharField(blank=True, max_length=200)),
                ('customer_id', models.CharField(blank=True, help_text='The customer, where the line names one.', max_length=64)),
                ('state', models.CharField(choices=[('UNMATCHED', 'Unmatched'), ('MATCHED', 'Matched'), ('SENT_BACK', 'Sent back')], max_length=9)),
                ('reason', models.CharField(blank=True, help_text='Why it is not matched, or was sent back.', max_length=300)),
                ('actor_kind', models.CharField(choices=[('API_KEY', 'API_KEY'), ('STAFF', 'STAFF'), ('JOB', 'JOB')], default=aforo.actors.current_kind, max_length=7)),
                ('actor_id', models.CharField(default=aforo.actors.current_id, max_length=100)),
                ('created_at', models.DateTimeField()),
                ('decided_by_kind', models.CharField(blank=True, choices=[('API_KEY', 'API_KEY'), ('STAFF', 'STAFF'), ('JOB', 'JOB')], max_length=7)),
                ('decided_by_id', models.CharField(blank=True, max_length=100)),
                ('decided_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('livemode', 'account', 'bank_reference'), name='billing_bankpayment_once'), models.CheckConstraint(condition=models.Q(('amount__gt', 0), models.Q(('amount', None), ('amount', django.db.models.functions.math.Round(models.F('amount'), precision=models.Case(models.When(models.Q(('currency__in', ['CLP', 'JPY', 'KRW'])), then=models.Value(0)), models.When(models.Q(('currency__in', ['BHD', 'KWD'])), then=models.Value(3)), default=models.Value(2)))), _connector='OR')), name='billing_bankpayment_payable'), models.CheckConstraint(condition=models.Q(models.Q(('decided_at', None), ('state', 'UNMATCHED')), models.Q(('decided_at__isnull', False), ('state__in', ['MATCHED', 'SENT_BACK'])), _connector='OR'), name='billing_bankpayment_decided')],
            },
        ),
        migrations.AddField(
            model_name='invoicepayment',
            name='bank_payment',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='payments', to='billing.bankpayment'),
        ),
        migrations.RunSQL(KEPT, NOT_KEPT),
    ]
