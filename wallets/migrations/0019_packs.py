"""Which pack a top-up bought."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('pricing', '0010_packs'),
        ('wallets', '0018_credit_units'),
    ]

    operations = [
        migrations.AddField(
            model_name='topup',
            name='pack',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, to='pricing.pack'),
        ),
    ]
