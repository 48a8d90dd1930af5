"""What was asked under a key has a stable name instead of the text of its address."""

from django.db import migrations, models

NAMES = {
    "POST /v1/campaigns/redeem": "wallets.campaigns.redeem",
    "POST /v1/invoices/pay": "billing.invoices.pay",
    "POST /v1/settlements/adjust": "billing.settlements.adjust",
    "POST /v1/usage/debit": "billing.usage.debit",
    "POST /v1/usage/reserve": "billing.usage.reserve",
    "POST /v1/wallets/debit": "wallets.debit",
    "POST /v1/wallets/debits/{id}/reverse": "wallets.debits.reverse",
    "POST /v1/wallets/grants": "wallets.grant",
    "POST /v1/wallets/refunds": "wallets.refund",
    "POST /v1/wallets/reservations": "wallets.reserve",
    "POST /v1/wallets/reservations/{id}/capture": "wallets.reservations.capture",
    "POST /v1/wallets/reservations/{id}/void": "wallets.reservations.void",
    "POST /v1/wallets/top-ups": "wallets.top_up",
    "POST /v1/wallets/top-ups/dispute": "wallets.top_ups.dispute",
}
PAIRS = ", ".join(f"('{address}', '{name}')" for address, name in NAMES.items())

# Operations are append-only; what they are called is the only thing that ever changes, once.
RENAME = """
ALTER TABLE wallets_operation DISABLE TRIGGER wallets_operation_append_only;
UPDATE wallets_operation SET operation = names.{to}
FROM (VALUES {pairs}) AS names(address, name) WHERE operation = names.{of};
ALTER TABLE wallets_operation ENABLE ALWAYS TRIGGER wallets_operation_append_only;
"""


class Migration(migrations.Migration):
    dependencies = [("wallets", "0014_hold_book")]
    operations = [
        migrations.RenameField("operation", "endpoint", "operation"),
        migrations.RunSQL(
            RENAME.format(to="name", of="address", pairs=PAIRS),
            RENAME.format(to="address", of="name", pairs=PAIRS),
        ),
        migrations.AlterField(
            model_name="operation",
            name="operation",
            field=models.CharField(
                help_text="What was asked, by its stable name.", max_length=100
            ),
        ),
    ]
