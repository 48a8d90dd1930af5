"""Wallets have the tax rates of what is spent from them directly."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('wallets', '0005_taxed_at_sale'),
    ]

    operations = [
        migrations.AddField(
            model_name='unitwallet',
            name='tax_rates',
            field=models.JSONField(blank=True, db_default=models.Value([], models.JSONField()), default=list, help_text="The customer's tax rates, each from an instant on, for what it spends directly. Kept by the database with the customer and the rates."),
        ),
        migrations.AddField(
            model_name='wallet',
            name='tax_rates',
            field=models.JSONField(blank=True, db_default=models.Value([], models.JSONField()), default=list, help_text="The customer's tax rates, each from an instant on, for what it spends directly. Kept by the database with the customer and the rates."),
        ),
    ]
