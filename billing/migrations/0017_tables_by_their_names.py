"""The tables of rollups and of payments of invoices are called as their classes are."""

from django.db import migrations, models

TABLE = "billing_usagerollup"


class Migration(migrations.Migration):
    dependencies = [("billing", "0016_one_name_each")]
    operations = [
        migrations.RemoveConstraint("usagerollup", "billing_usagetally_one_uncounted"),
        migrations.RemoveConstraint("usagerollup", "billing_usagetally_span"),
        migrations.AlterModelTable(name="usagerollup", table=None),
        migrations.RenameIndex(
            "usagerollup", old_name="billing_usagetally_latest", new_name=f"{TABLE}_latest"
        ),
        migrations.AddConstraint(
            "usagerollup",
            models.UniqueConstraint(
                fields=["book", "metric"],
                condition=models.Q(events=None),
                name=f"{TABLE}_one_uncounted",
            ),
        ),
        migrations.AddConstraint(
            "usagerollup",
            models.CheckConstraint(
                condition=models.Q(through__gte=models.F("starts_at")), name=f"{TABLE}_span"
            ),
        ),
        migrations.AlterField(
            "usageevent",
            "behind",
            models.BigIntegerField(
                help_text="The rollup that was there when it came, if it counts before its end.",
                null=True,
            ),
        ),
        migrations.RemoveConstraint("invoicepayment", "billing_payment_amounts"),
        migrations.AlterModelTable(name="invoicepayment", table=None),
        migrations.AddConstraint(
            "invoicepayment",
            models.CheckConstraint(
                condition=models.Q(amount__gt=0, applied__gt=0, applied__lte=models.F("amount")),
                name="billing_invoicepayment_amounts",
            ),
        ),
    ]
