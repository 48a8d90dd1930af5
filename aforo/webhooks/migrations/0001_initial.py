import aforo.ids
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='OutboxEvent',
            fields=[
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('livemode', models.BooleanField()),
                ('customer_id', models.CharField(help_text="The key of the customer's book.", max_length=64)),
                ('type', models.CharField(choices=[('wallet.topped_up', 'wallet.topped_up'), ('wallet.low_balance', 'wallet.low_balance'), ('wallet.depleted', 'wallet.depleted'), ('wallet.refill_failed', 'wallet.refill_failed'), ('credits.granted', 'credits.granted'), ('debit.declined', 'debit.declined'), ('top_up.disputed', 'top_up.disputed'), ('invoice.paid', 'invoice.paid')], max_length=50)),
                ('payload', models.JSONField(help_text='Strings only; decimals are written plainly.')),
                ('occurred_at', models.DateTimeField(help_text="In the customer's time.")),
                ('sameness', models.CharField(blank=True, help_text='Events that would repeat each other share it.', max_length=200)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('delivered_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('delivered_at', None)), fields=['id'], name='webhooks_event_undelivered'), models.Index(fields=['livemode', 'customer_id'], name='webhooks_event_customer')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('sameness', ''), _negated=True), fields=('livemode', 'sameness'), name='webhooks_event_once')],
            },
        ),
    ]
