"""Whether the prices of a plan contain the tax."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('pricing', '0007_draft_hours'),
    ]

    operations = [
        migrations.AddField(
            model_name='rateplanversion',
            name='tax_inclusive',
            field=models.BooleanField(db_default=False, default=False, help_text='Its prices, fees, minimum, maximum and fixed coupons contain the tax.'),
        ),
    ]
