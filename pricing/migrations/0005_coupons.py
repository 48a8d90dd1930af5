"""When a coupon counts, which charges it is for, and whether the rest of a fixed one is kept."""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('pricing', '0004_tax_class'),
    ]

    operations = [
        migrations.AddField(
            model_name='coupon',
            name='carries_rest',
            field=models.BooleanField(db_default=False, default=False, help_text='What a period leaves of a fixed amount is taken in the next ones.'),
        ),
        migrations.AddField(
            model_name='coupon',
            name='charges',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=64), blank=True, db_default=[], default=list, help_text='Codes of the charges that it is for; none: the whole subtotal.', size=None),
        ),
        migrations.AddField(
            model_name='coupon',
            name='ends_at',
            field=models.DateTimeField(blank=True, help_text='It counts in periods that begin before.', null=True),
        ),
        migrations.AddField(
            model_name='coupon',
            name='starts_at',
            field=models.DateTimeField(blank=True, help_text='It counts in periods that begin from then on.', null=True),
        ),
        migrations.AddConstraint(
            model_name='coupon',
            constraint=models.CheckConstraint(condition=models.Q(('starts_at', None), ('ends_at', None), ('ends_at__gt', models.F('starts_at')), _connector='OR'), name='pricing_coupon_dates'),
        ),
        migrations.AddConstraint(
            model_name='coupon',
            constraint=models.CheckConstraint(condition=models.Q(('carries_rest', False), ('type', 'FIXED'), _connector='OR'), name='pricing_coupon_rest'),
        ),
    ]
