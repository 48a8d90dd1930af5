"""What usage that came late took of a settled cycle's lots, and what its customer is owed for it;
and when usage was received, to find what came since credits last paid.
"""

import aforo.ids
import django.db.models.deletion
import django.db.models.expressions
from decimal import Decimal
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0008_cycle_bounds'),
        ('ledger', '0005_controls'),
        ('pricing', '0003_payable_bounds'),
    ]

    operations = [
        migrations.CreateModel(
            name='LateCredit',
            fields=[
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('description', models.CharField(max_length=300)),
                ('amount', models.DecimalField(decimal_places=12, max_digits=38)),
                ('used', models.DecimalField(decimal_places=12, default=Decimal('0'), max_digits=38)),
                ('paid_out', models.DecimalField(decimal_places=12, default=Decimal('0'), max_digits=38)),
                ('tax_rate', models.JSONField(help_text='{name, percent, jurisdiction}', null=True)),
                ('created_at', models.DateTimeField()),
            ],
        ),
        migrations.AddField(
            model_name='cycleburn',
            name='late',
            field=models.DecimalField(decimal_places=12, default=0, help_text='What usage that came after the cycle was settled took of it, or gave back.', max_digits=38),
        ),
        migrations.AddIndex(
            model_name='usageevent',
            index=models.Index(fields=['book', 'received_at'], name='billing_usage_received'),
        ),
        migrations.AddField(
            model_name='latecredit',
            name='entry',
            field=models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ledger.entry'),
        ),
        migrations.AddField(
            model_name='latecredit',
            name='settlement',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='late_credits', to='billing.settlement'),
        ),
        migrations.AddIndex(
            model_name='latecredit',
            index=models.Index(condition=models.Q(('amount__gt', django.db.models.expressions.CombinedExpression(models.F('used'), '+', models.F('paid_out')))), fields=['settlement'], name='billing_latecredit_open'),
        ),
        migrations.AddConstraint(
            model_name='latecredit',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gt', 0), ('amount__gte', django.db.models.expressions.CombinedExpression(models.F('used'), '+', models.F('paid_out'))), ('paid_out__gte', 0), ('used__gte', 0)), name='billing_latecredit_amounts'),
        ),
    ]
