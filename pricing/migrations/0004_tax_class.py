"""The class of products by which a plan is taxed."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('pricing', '0003_over_capture'),
    ]

    operations = [
        migrations.AddField(
            model_name='rateplanversion',
            name='tax_class',
            field=models.CharField(blank=True, db_default='', default='', help_text='Whose tax rates it takes.', max_length=40),
        ),
    ]
