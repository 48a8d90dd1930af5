"""Metered usage that counts in budgets, and where in the book a budget was changed."""

import aforo.ids
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('wallets', '0006_tax_rates'),
    ]

    operations = [
        migrations.AddField(
            model_name='budgetchange',
            name='sequence',
            field=models.BigIntegerField(db_default=0, default=0, help_text='The last entry of the book before it.'),
        ),
        migrations.CreateModel(
            name='BudgetDelta',
            fields=[
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('value', models.CharField(blank=True, max_length=100)),
                ('starts_at', models.DateTimeField()),
                ('ends_at', models.DateTimeField()),
                ('quantity', models.DecimalField(decimal_places=12, max_digits=38)),
                ('folded_at', models.DateTimeField(blank=True, null=True)),
                ('budget', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='deltas', to='wallets.budget')),
            ],
            options={
                'indexes': [models.Index(fields=['budget', 'ends_at'], name='wallets_budgetdelta_window'), models.Index(condition=models.Q(('folded_at', None)), fields=['budget'], name='wallets_budgetdelta_pending')],
                'constraints': [models.CheckConstraint(condition=models.Q(('quantity__gt', 0)), name='wallets_budgetdelta_quantity')],
            },
        ),
    ]
