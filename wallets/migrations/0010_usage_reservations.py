"""A reservation says whether it is of credits or of usage, whose price may be zero."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import F, Q

RESERVED = Q(quantity__gte=0, held__gte=0, held__lte=F("quantity")) & (
    Q(quantity__gt=0) | Q(kind="USAGE")
)
OF_KIND = Q(kind="CREDITS", entry__isnull=False) | Q(kind="USAGE", wallet__isnull=False)


class Migration(migrations.Migration):
    dependencies = [("wallets", "0009_refills_of_who_left"), ("ledger", "0005_controls")]

    operations = [
        migrations.AddField(
            "reservation",
            "kind",
            models.CharField(
                choices=[("CREDITS", "Credits"), ("USAGE", "Usage")],
                default="CREDITS",
                max_length=7,
            ),
        ),
        migrations.AlterField(
            "reservation",
            "entry",
            models.OneToOneField(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="ledger.entry",
            ),
        ),
        migrations.RemoveConstraint("reservation", "wallets_reservation_held"),
        migrations.AddConstraint(
            "reservation",
            models.CheckConstraint(condition=RESERVED, name="wallets_reservation_held"),
        ),
        migrations.AddConstraint(
            "reservation",
            models.CheckConstraint(condition=OF_KIND, name="wallets_reservation_kind"),
        ),
    ]
