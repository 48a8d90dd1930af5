"""Classes get one name each; their tables stay."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("billing", "0015_show_life")]

    operations = [
        migrations.AlterModelTable(name="Payment", table="billing_payment"),
        migrations.RenameModel(old_name="Payment", new_name="InvoicePayment"),
        migrations.AlterModelTable(name="UsageTally", table="billing_usagetally"),
        migrations.RenameModel(old_name="UsageTally", new_name="UsageRollup"),
    ]
