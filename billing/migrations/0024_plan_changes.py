"""Changes of plan, which are only added, and what a subscription changes to."""

import aforo.actors
import django.db.models.deletion
from django.db import migrations, models


APPEND_ONLY = """
CREATE TRIGGER billing_planchange_append_only BEFORE UPDATE OR DELETE ON billing_planchange
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
ALTER TABLE billing_planchange ENABLE ALWAYS TRIGGER billing_planchange_append_only;
"""
NOT_ANY_MORE = """
DROP TRIGGER billing_planchange_append_only ON billing_planchange;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0023_customer_credit'),
        ('pricing', '0006_tax_at_sale'),
    ]

    operations = [
        migrations.AddField(
            model_name='subscription',
            name='next_offering',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='pricing.offering'),
        ),
        migrations.AddField(
            model_name='subscription',
            name='next_version',
            field=models.ForeignKey(blank=True, help_text='The plan changes to it at the next renewal.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='pricing.rateplanversion'),
        ),
        migrations.AddField(
            model_name='subscription',
            name='plan_changes',
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AlterField(
            model_name='subscriptionmove',
            name='kind',
            field=models.CharField(choices=[('CREATED', 'Created'), ('ACTIVATED', 'Activated'), ('TRIAL_ENDED', 'Trial Ended'), ('SUSPENDED', 'Suspended'), ('PAUSED', 'Paused'), ('RESUMED', 'Resumed'), ('CANCELLED', 'Cancelled'), ('CANCELLATION_SET', 'Cancellation Set'), ('CANCELLATION_WITHDRAWN', 'Cancellation Withdrawn'), ('PLAN_CHANGE_SET', 'Plan Change Set'), ('PLAN_CHANGE_WITHDRAWN', 'Plan Change Withdrawn'), ('PLAN_CHANGED', 'Plan Changed')], max_length=30),
        ),
        migrations.CreateModel(
            name='PlanChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('cycle', models.PositiveIntegerField(help_text='The first cycle on the new terms.')),
                ('occurred_at', models.DateTimeField(help_text="In the customer's time.")),
                ('actor_kind', models.CharField(choices=[('API_KEY', 'API_KEY'), ('STAFF', 'STAFF'), ('JOB', 'JOB')], default=aforo.actors.current_kind, max_length=7)),
                ('actor_id', models.CharField(default=aforo.actors.current_id, max_length=100)),
                ('from_offering', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='pricing.offering')),
                ('from_version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='pricing.rateplanversion')),
                ('subscription', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='changes_of_plan', to='billing.subscription')),
                ('to_offering', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='pricing.offering')),
                ('to_version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='pricing.rateplanversion')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('subscription', 'cycle'), name='billing_planchange_cycle')],
            },
        ),
        migrations.RunSQL(APPEND_ONLY, NOT_ANY_MORE),
    ]
