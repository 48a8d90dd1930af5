"""Money that a gateway is to pay back of a top-up; it changes once, to its outcome."""

import aforo.ids
import django.db.models.deletion
import django.db.models.functions.math
from django.db import migrations, models


KEPT = """
CREATE TRIGGER wallets_gatewayrefund_kept BEFORE UPDATE OR DELETE ON wallets_gatewayrefund
    FOR EACH ROW EXECUTE FUNCTION ledger_frozen_but(
        status, asked, ask_again_at, concluded_at, entry_id);
ALTER TABLE wallets_gatewayrefund ENABLE ALWAYS TRIGGER wallets_gatewayrefund_kept;

-- It ends once.
CREATE TRIGGER wallets_gatewayrefund_concluded BEFORE UPDATE ON wallets_gatewayrefund
    FOR EACH ROW WHEN (OLD.status <> 'PENDING') EXECUTE FUNCTION ledger_frozen_but();
ALTER TABLE wallets_gatewayrefund ENABLE ALWAYS TRIGGER wallets_gatewayrefund_concluded;
"""
NOT_KEPT = """
DROP TRIGGER wallets_gatewayrefund_concluded ON wallets_gatewayrefund;
DROP TRIGGER wallets_gatewayrefund_kept ON wallets_gatewayrefund;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0005_evidence'),
        ('wallets', '0012_tax_at_sale'),
    ]

    operations = [
        migrations.CreateModel(
            name='GatewayRefund',
            fields=[
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('refund_id', models.UUIDField(help_text='The refund that it belongs to.')),
                ('currency', models.CharField(max_length=3)),
                ('amount', models.DecimalField(decimal_places=12, max_digits=38)),
                ('status', models.CharField(choices=[('PENDING', 'Pending'), ('SUCCEEDED', 'Succeeded'), ('FAILED', 'Failed')], max_length=9)),
                ('created_at', models.DateTimeField()),
                ('asked', models.PositiveIntegerField(default=0, help_text='How often the gateway had no answer about it.')),
                ('ask_again_at', models.DateTimeField(blank=True, null=True)),
                ('concluded_at', models.DateTimeField(blank=True, null=True)),
                ('entry', models.OneToOneField(blank=True, help_text='Where it failed: what is owed instead.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ledger.entry')),
                ('top_up', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='gateway_refunds', to='wallets.topup')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('status', 'PENDING')), fields=['created_at'], name='wallets_refund_pending')],
                'constraints': [models.UniqueConstraint(fields=('refund_id', 'top_up'), name='wallets_refund_once'), models.CheckConstraint(condition=models.Q(('amount__gt', 0), models.Q(('amount', None), ('amount', django.db.models.functions.math.Round(models.F('amount'), precision=models.Case(models.When(models.Q(('currency__in', ['CLP', 'JPY', 'KRW'])), then=models.Value(0)), models.When(models.Q(('currency__in', ['BHD', 'KWD'])), then=models.Value(3)), default=models.Value(2)))), _connector='OR')), name='wallets_refund_payable'), models.CheckConstraint(condition=models.Q(models.Q(('concluded_at', None), ('entry', None), ('status', 'PENDING')), models.Q(('concluded_at__isnull', False), ('entry', None), ('status', 'SUCCEEDED')), models.Q(('concluded_at__isnull', False), ('entry__isnull', False), ('status', 'FAILED')), _connector='OR'), name='wallets_refund_concluded')],
            },
        ),
        migrations.RunSQL(KEPT, NOT_KEPT),
    ]
