"""Claims in credits, with what was lost of their payment."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0028_sweep_figures'),
        ('wallets', '0018_credit_units'),
    ]

    operations = [
        migrations.AddField(
            model_name='claim',
            name='lost',
            field=models.DecimalField(blank=True, decimal_places=12, help_text='Of a claim in credits, what was lost of their payment, in the currency paid.', max_digits=38, null=True),
        ),
        migrations.AlterField(
            model_name='claim',
            name='currency',
            field=models.CharField(help_text='Or the credit unit, of what was spent in credits.', max_length=10),
        ),
    ]
