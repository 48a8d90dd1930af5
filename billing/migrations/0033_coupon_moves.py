"""Coupons that are added and removed are moves of their subscription."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0032_credit_notes'),
    ]

    operations = [
        migrations.AlterField(
            model_name='subscriptionmove',
            name='kind',
            field=models.CharField(choices=[('CREATED', 'Created'), ('ACTIVATED', 'Activated'), ('TRIAL_ENDED', 'Trial Ended'), ('SUSPENDED', 'Suspended'), ('PAUSED', 'Paused'), ('RESUMED', 'Resumed'), ('CANCELLED', 'Cancelled'), ('CANCELLATION_SET', 'Cancellation Set'), ('CANCELLATION_WITHDRAWN', 'Cancellation Withdrawn'), ('PLAN_CHANGE_SET', 'Plan Change Set'), ('PLAN_CHANGE_WITHDRAWN', 'Plan Change Withdrawn'), ('PLAN_CHANGED', 'Plan Changed'), ('COUPON_ADDED', 'Coupon Added'), ('COUPON_REMOVED', 'Coupon Removed')], max_length=30),
        ),
    ]
