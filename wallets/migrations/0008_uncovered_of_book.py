"""What captures left uncovered is found by its customer, for statements."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('wallets', '0007_budget_deltas'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='debit',
            index=models.Index(condition=models.Q(('uncovered__gt', 0)), fields=['book'], name='wallets_debit_lost_of_book'),
        ),
    ]
