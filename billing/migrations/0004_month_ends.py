"""How far each month end of an open cycle has counted what it earned."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("billing", "0003_schedule"),
    ]

    operations = [
        migrations.CreateModel(
            name='MonthEnd',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('cycle', models.PositiveIntegerField()),
                ('ends_at', models.DateTimeField(help_text="The end of the month, in the entity's zone.")),
                ('usage', models.DecimalField(decimal_places=12, default=0, max_digits=38)),
                ('fees', models.DecimalField(decimal_places=12, default=0, max_digits=38)),
                ('reached_at', models.DateTimeField(help_text="The customer's time when it was last reached.")),
                ('subscription', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='month_ends', to='billing.subscription')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('subscription', 'cycle', 'ends_at'), name='billing_monthend_once'), models.CheckConstraint(condition=models.Q(('fees__gte', 0), ('usage__gte', 0)), name='billing_monthend_amounts')],
            },
        ),
    ]
