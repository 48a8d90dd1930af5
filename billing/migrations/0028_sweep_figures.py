"""How long the last sweep took, and how much it could not do."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0027_changes_within_periods")]

    operations = [
        migrations.AddField(
            model_name="workerheartbeat",
            name="sweep_milliseconds",
            field=models.PositiveBigIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="workerheartbeat",
            name="sweep_passed_over",
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
    ]
