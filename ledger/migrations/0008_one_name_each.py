"""Classes get one name each; their tables stay."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("ledger", "0007_crash_safe_seals")]

    operations = [
        migrations.AlterModelTable(name="Period", table="ledger_period"),
        migrations.RenameModel(old_name="Period", new_name="AccountingPeriod"),
    ]
