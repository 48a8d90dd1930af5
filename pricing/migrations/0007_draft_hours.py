"""How long the invoices of a plan stay drafts."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('pricing', '0006_tax_at_sale'),
    ]

    operations = [
        migrations.AddField(
            model_name='rateplanversion',
            name='draft_hours',
            field=models.PositiveIntegerField(db_default=0, default=0, help_text='How long an invoice stays a draft, to be looked at, before it has its number.'),
        ),
    ]
