"""A rule knows the end of service after which it was set."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('wallets', '0008_payment_back_off'),
    ]

    operations = [
        migrations.AddField(
            model_name='autorefill',
            name='set_after',
            field=models.DateTimeField(blank=True, help_text="When the customer's last subscription had ended as this was set; a later end switches it off.", null=True),
        ),
    ]
