"""Whether a book has budgets, which whoever locks it then knows."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0003_chart'),
    ]

    operations = [
        migrations.AddField(
            model_name='book',
            name='has_budgets',
            field=models.BooleanField(db_default=False, default=False, help_text='Whoever takes its credits asks its budgets, too.'),
        ),
    ]
