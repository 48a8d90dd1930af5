"""Whether credits are taxed when they are sold, and by which class of products."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('pricing', '0005_coupons'),
    ]

    operations = [
        migrations.AddField(
            model_name='topuprule',
            name='tax_at_sale',
            field=models.BooleanField(db_default=False, default=False, help_text='Tax comes on top when credits are sold; else it is inside as they are used.'),
        ),
        migrations.AddField(
            model_name='topuprule',
            name='tax_class',
            field=models.CharField(blank=True, db_default='', default='', help_text='Whose tax rates they take.', max_length=40),
        ),
    ]
