"""The scope of webhooks; keys that had every scope there was have it too."""

import django.contrib.postgres.fields
from django.db import migrations, models

FORMER = ["catalog", "billing", "wallets", "usage", "ledger"]


def widen(apps, schema_editor):
    keys = apps.get_model("access", "ApiKey").objects
    for key in keys.filter(scopes__contains=FORMER).exclude(scopes__contains=["webhooks"]):
        keys.filter(pk=key.pk).update(scopes=[*key.scopes, "webhooks"])


def narrow(apps, schema_editor):
    keys = apps.get_model("access", "ApiKey").objects
    for key in keys.filter(scopes__contains=["webhooks"]):
        keys.filter(pk=key.pk).update(scopes=[each for each in key.scopes if each != "webhooks"])


class Migration(migrations.Migration):
    dependencies = [("access", "0001_initial")]
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
                    ],
                    max_length=20,
                ),
                size=None,
            ),
        ),
        migrations.RunPython(widen, narrow),
    ]
