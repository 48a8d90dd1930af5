"""What limits a key: a customer, networks, requests; the scope of keys, which none has by itself."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Value


def narrow(apps, schema_editor):
    keys = apps.get_model("access", "ApiKey").objects
    for key in keys.filter(scopes__contains=["keys"]):
        keys.filter(pk=key.pk).update(scopes=[each for each in key.scopes if each != "keys"])


class Migration(migrations.Migration):
    dependencies = [("access", "0002_webhooks_scope")]
    operations = [
        migrations.AlterField(
            "apikey",
            "scopes",
            django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(
                    choices=[
                        ("catalog", "Catalog"),
                        ("billing", "Billing"),
                        ("wallets", "Wallets"),
                        ("usage", "Usage"),
                        ("ledger", "Ledger"),
                        ("webhooks", "Webhooks"),
                        ("keys", "Keys"),
                    ],
                    max_length=20,
                ),
                size=None,
            ),
        ),
        migrations.RunPython(migrations.RunPython.noop, narrow),
        migrations.AddField(
            "apikey",
            "customer_id",
            models.CharField(
                max_length=64,
                blank=True,
                default="",
                db_default="",
                help_text="The one customer that it acts for; all, where it is empty.",
            ),
        ),
        migrations.AddField(
            "apikey",
            "networks",
            django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=50),
                default=list,
                db_default=Value(
                    [],
                    output_field=django.contrib.postgres.fields.ArrayField(
                        models.CharField(max_length=50)
                    ),
                ),
                blank=True,
                size=None,
                help_text="Where it may call from, as 203.0.113.0/24; anywhere, where it is empty.",
            ),
        ),
        migrations.AddField(
            "apikey",
            "requests_per_minute",
            models.PositiveIntegerField(
                null=True, blank=True, help_text="The server's own limit, where it is empty."
            ),
        ),
        migrations.AddField(
            "apikey",
            "replaces",
            models.ForeignKey(
                "access.apikey",
                models.PROTECT,
                null=True,
                blank=True,
                related_name="successors",
                help_text="The key in whose place it was issued.",
            ),
        ),
    ]
