"""What one unit of a bonus costs alone, by which a payment is spread."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0007_crash_safe_seals'),
        ('pricing', '0003_payable_bounds'),
        ('wallets', '0010_usage_reservations'),
    ]

    operations = [
        migrations.AddField(
            model_name='topup',
            name='bonus_unit_price',
            field=models.DecimalField(blank=True, decimal_places=12, help_text='What one unit of the bonus costs alone: by it the payment is spread.', max_digits=38, null=True),
        ),
        migrations.AddConstraint(
            model_name='topup',
            constraint=models.CheckConstraint(condition=models.Q(('bonus_unit_price', None), models.Q(('bonus_metric__isnull', False), ('bonus_unit_price__gt', 0)), _connector='OR'), name='wallets_topup_bonus_price'),
        ),
    ]
