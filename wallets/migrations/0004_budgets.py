"""Budgets, and what reservations hold of them; who changed them is append-only."""

import aforo.actors
import aforo.ids
import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

APPEND_ONLY = """
CREATE TRIGGER wallets_budgetchange_append_only BEFORE UPDATE OR DELETE ON wallets_budgetchange
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
ALTER TABLE wallets_budgetchange ENABLE ALWAYS TRIGGER wallets_budgetchange_append_only;
"""
NOT_APPEND_ONLY = "DROP TRIGGER wallets_budgetchange_append_only ON wallets_budgetchange;"


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0004_budgets'),
        ('pricing', '0002_guards'),
        ('wallets', '0003_over_capture'),
    ]

    operations = [
        migrations.AddField(
            model_name='reservation',
            name='counted',
            field=models.JSONField(blank=True, help_text='What it holds of budgets, by their counters.', null=True),
        ),
        migrations.AddField(
            model_name='unitwallet',
            name='cycle_ends_at',
            field=models.DateTimeField(blank=True, help_text='Budgets of a cycle count until here.', null=True),
        ),
        migrations.AddField(
            model_name='wallet',
            name='cycle_ends_at',
            field=models.DateTimeField(blank=True, help_text='Budgets of a cycle count until here.', null=True),
        ),
        migrations.CreateModel(
            name='Budget',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('code', models.CharField(max_length=64)),
                ('name', models.CharField(blank=True, max_length=200)),
                ('match', models.JSONField(help_text='Attributes by name, each a value or *, all of which match.')),
                ('per', models.CharField(blank=True, help_text='The attribute of which each value has the limit.', max_length=40)),
                ('currency', models.CharField(blank=True, max_length=10)),
                ('limit', models.DecimalField(decimal_places=12, max_digits=38)),
                ('window', models.CharField(choices=[('HOUR', 'Hour'), ('DAY', 'Day'), ('WEEK', 'Week'), ('MONTH', 'Month'), ('CYCLE', 'Cycle'), ('TOTAL', 'Total')], max_length=5)),
                ('hard', models.BooleanField(default=True, help_text='Off: it counts and alerts, and refuses none.')),
                ('max_per_call', models.DecimalField(blank=True, decimal_places=12, help_text='The most a call may take.', max_digits=38, null=True)),
                ('alert_at', django.contrib.postgres.fields.ArrayField(base_field=models.PositiveSmallIntegerField(), blank=True, default=list, help_text='Percent of the limit.', size=None)),
                ('active', models.BooleanField(default=True, help_text='Off: it neither counts nor refuses.')),
                ('timezone', models.CharField(help_text="The customer's; counts from the next window.", max_length=50)),
                ('live_values', models.PositiveIntegerField(default=0)),
                ('live_until', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(help_text="In the customer's time.")),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('book', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='budgets', to='ledger.book')),
                ('metric', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='pricing.metric')),
            ],
        ),
        migrations.CreateModel(
            name='BudgetChange',
            fields=[
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('terms', models.JSONField()),
                ('actor_kind', models.CharField(choices=[('API_KEY', 'API_KEY'), ('STAFF', 'STAFF'), ('JOB', 'JOB')], default=aforo.actors.current_kind, max_length=7)),
                ('actor_id', models.CharField(default=aforo.actors.current_id, max_length=100)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('budget', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='changes', to='wallets.budget')),
            ],
            options={
                'verbose_name': 'change of a budget',
                'verbose_name_plural': 'changes of budgets',
            },
        ),
        migrations.CreateModel(
            name='BudgetCounter',
            fields=[
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('value', models.CharField(blank=True, help_text='Empty where one total counts.', max_length=100)),
                ('starts_at', models.DateTimeField()),
                ('ends_at', models.DateTimeField()),
                ('used', models.DecimalField(decimal_places=12, default=0, max_digits=38)),
                ('held', models.DecimalField(decimal_places=12, default=0, max_digits=38)),
                ('budget', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='counters', to='wallets.budget')),
            ],
        ),
        migrations.AddConstraint(
            model_name='budget',
            constraint=models.UniqueConstraint(condition=models.Q(('ended_at', None)), fields=('book', 'code'), name='wallets_budget_code'),
        ),
        migrations.AddConstraint(
            model_name='budget',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('currency__gt', ''), ('metric', None)), models.Q(('currency', ''), ('metric__isnull', False)), _connector='OR'), name='wallets_budget_money_or_units'),
        ),
        migrations.AddConstraint(
            model_name='budget',
            constraint=models.CheckConstraint(condition=models.Q(('limit__gte', 0), models.Q(('max_per_call', None), ('max_per_call__gte', 0), _connector='OR')), name='wallets_budget_limit'),
        ),
        migrations.AddConstraint(
            model_name='budget',
            constraint=models.CheckConstraint(condition=models.Q(('match', {}), _negated=True), name='wallets_budget_matches'),
        ),
        migrations.AddConstraint(
            model_name='budgetcounter',
            constraint=models.UniqueConstraint(fields=('budget', 'value', 'ends_at', 'starts_at'), name='wallets_budgetcounter_window'),
        ),
        migrations.AddConstraint(
            model_name='budgetcounter',
            constraint=models.CheckConstraint(condition=models.Q(('held__gte', 0), ('used__gte', 0)), name='wallets_budgetcounter_counted'),
        ),
        migrations.AddConstraint(
            model_name='budgetcounter',
            constraint=models.CheckConstraint(condition=models.Q(('ends_at__gt', models.F('starts_at'))), name='wallets_budgetcounter_period'),
        ),
        migrations.RunSQL(APPEND_ONLY, NOT_APPEND_ONLY),
    ]
