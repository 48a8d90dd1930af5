"""What a wallet has after each of its movements, in a column; there must be no movements yet."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("wallets", "0012_granted_by")]
    operations = [
        migrations.AddField(
            model_name="movement",
            name="wallet_balance_after",
            field=models.DecimalField(decimal_places=12, default=0, max_digits=38),
            preserve_default=False,
        ),
        migrations.AddConstraint(
            model_name="movement",
            constraint=models.CheckConstraint(
                condition=models.Q(("wallet_balance_after__gte", models.F("balance_after"))),
                name="wallets_movement_wallet_balance",
            ),
        ),
    ]
