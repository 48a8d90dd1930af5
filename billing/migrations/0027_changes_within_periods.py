"""Changes of plan in the middle of a period, which they divide."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0026_voids'),
    ]

    operations = [
        migrations.AddField(
            model_name='planchange',
            name='within_period',
            field=models.PositiveIntegerField(blank=True, help_text='The number of the period that it divides, as grants have it; none at a renewal.', null=True),
        ),
    ]
