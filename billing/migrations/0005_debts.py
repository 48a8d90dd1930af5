"""Claims for what captures took beyond the credits."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0004_month_ends'),
        ('ledger', '0003_chart'),
        ('wallets', '0003_over_capture'),
    ]

    operations = [
        migrations.AddField(
            model_name='claim',
            name='debit',
            field=models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='claim', to='wallets.debit'),
        ),
        migrations.AlterField(
            model_name='claim',
            name='top_up',
            field=models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='claim', to='wallets.topup'),
        ),
        migrations.AddConstraint(
            model_name='claim',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('debit__isnull', False), ('top_up', None)), models.Q(('debit', None), ('top_up__isnull', False)), _connector='OR'), name='billing_claim_one_cause'),
        ),
    ]
