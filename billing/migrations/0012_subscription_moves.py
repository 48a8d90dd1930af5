"""The moves of subscriptions, which are only added."""

import aforo.actors
import django.db.models.deletion
from django.db import migrations, models


APPEND_ONLY = """
CREATE TRIGGER billing_subscriptionmove_append_only
    BEFORE UPDATE OR DELETE ON billing_subscriptionmove
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
ALTER TABLE billing_subscriptionmove ENABLE ALWAYS TRIGGER billing_subscriptionmove_append_only;
"""
NOT_ANY_MORE = """
DROP TRIGGER billing_subscriptionmove_append_only ON billing_subscriptionmove;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0011_tax_rates'),
    ]

    operations = [
        migrations.CreateModel(
            name='SubscriptionMove',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('CREATED', 'Created'), ('ACTIVATED', 'Activated'), ('TRIAL_ENDED', 'Trial Ended'), ('SUSPENDED', 'Suspended'), ('PAUSED', 'Paused'), ('RESUMED', 'Resumed'), ('CANCELLED', 'Cancelled'), ('CANCELLATION_SET', 'Cancellation Set'), ('CANCELLATION_WITHDRAWN', 'Cancellation Withdrawn')], max_length=30)),
                ('from_status', models.CharField(blank=True, choices=[('CREATED', 'Created'), ('TRIALING', 'Trialing'), ('ACTIVE', 'Active'), ('PAUSED', 'Paused'), ('SUSPENDED', 'Suspended'), ('CANCELLED', 'Cancelled')], help_text='Empty: none yet.', max_length=10)),
                ('to_status', models.CharField(choices=[('CREATED', 'Created'), ('TRIALING', 'Trialing'), ('ACTIVE', 'Active'), ('PAUSED', 'Paused'), ('SUSPENDED', 'Suspended'), ('CANCELLED', 'Cancelled')], max_length=10)),
                ('facts', models.JSONField(default=dict, help_text='Strings only: what else the move changes.')),
                ('reason', models.CharField(blank=True, max_length=300)),
                ('occurred_at', models.DateTimeField(help_text="In the customer's time.")),
                ('recorded_at', models.DateTimeField(auto_now_add=True)),
                ('actor_kind', models.CharField(choices=[('API_KEY', 'API_KEY'), ('STAFF', 'STAFF'), ('JOB', 'JOB')], default=aforo.actors.current_kind, max_length=7)),
                ('actor_id', models.CharField(default=aforo.actors.current_id, max_length=100)),
                ('subscription', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='moves', to='billing.subscription')),
            ],
        ),
        migrations.RunSQL(APPEND_ONLY, NOT_ANY_MORE),
    ]
