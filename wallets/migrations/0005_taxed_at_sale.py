"""Credits whose consideration a document has taxed pay net, and owe no tax as they are used."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('wallets', '0004_budgets'),
    ]

    operations = [
        migrations.AddField(
            model_name='creditlot',
            name='taxed_at_sale',
            field=models.BooleanField(db_default=False, default=False, help_text="A document has taxed what was paid for it: a plan's fee."),
        ),
    ]
