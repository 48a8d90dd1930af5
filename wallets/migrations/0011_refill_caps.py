"""What refills may take of a card in a day and a month, how far apart they are, and their why."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0005_evidence'),
        ('wallets', '0010_evidence'),
    ]

    operations = [
        migrations.AddField(
            model_name='autorefill',
            name='max_amount_per_day',
            field=models.DecimalField(blank=True, decimal_places=12, help_text='Most money of refills in a day (UTC); empty: any.', max_digits=38, null=True),
        ),
        migrations.AddField(
            model_name='autorefill',
            name='max_amount_per_month',
            field=models.DecimalField(blank=True, decimal_places=12, help_text='Most money of refills in a month (UTC); empty: any.', max_digits=38, null=True),
        ),
        migrations.AddField(
            model_name='autorefill',
            name='min_interval',
            field=models.PositiveIntegerField(blank=True, help_text='Fewest seconds between two refills; empty: none.', null=True),
        ),
        migrations.AddField(
            model_name='topup',
            name='refill_reason',
            field=models.JSONField(blank=True, help_text='Why a refill was begun: what was available, the threshold, what was owed.', null=True),
        ),
        migrations.AddConstraint(
            model_name='autorefill',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('max_amount_per_day', None), ('max_amount_per_day__gte', models.F('amount')), _connector='OR'), models.Q(('max_amount_per_month', None), ('max_amount_per_month__gte', models.F('amount')), _connector='OR')), name='wallets_refill_amount_caps'),
        ),
    ]
