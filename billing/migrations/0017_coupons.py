"""Several coupons on one subscription. Version 0.1.0 names one beside the subscription itself."""

import django.db.models.deletion
from django.db import migrations, models


FIRST_COUPON = """
INSERT INTO billing_subscriptioncoupon (subscription_id, coupon_id, position, from_period, added_at)
    SELECT id, coupon_id, 0, 0, subscribed_at FROM billing_subscription
    WHERE coupon_id IS NOT NULL;

-- Also what a process of 0.1.0 creates has its row.
CREATE FUNCTION billing_subscription_first_coupon() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing_subscriptioncoupon
        (subscription_id, coupon_id, position, from_period, added_at)
        VALUES (NEW.id, NEW.coupon_id, 0, 0, NEW.subscribed_at);
    RETURN NULL;
END $$;

CREATE TRIGGER billing_subscription_first_coupon AFTER INSERT ON billing_subscription
    FOR EACH ROW WHEN (NEW.coupon_id IS NOT NULL)
    EXECUTE FUNCTION billing_subscription_first_coupon();
ALTER TABLE billing_subscription ENABLE ALWAYS TRIGGER billing_subscription_first_coupon;

CREATE TRIGGER billing_subscriptioncoupon_kept BEFORE UPDATE OR DELETE ON billing_subscriptioncoupon
    FOR EACH ROW EXECUTE FUNCTION ledger_frozen_but(until_period, removed_at);
ALTER TABLE billing_subscriptioncoupon ENABLE ALWAYS TRIGGER billing_subscriptioncoupon_kept;
"""
NOT_ANY_MORE = """
DROP TRIGGER billing_subscriptioncoupon_kept ON billing_subscriptioncoupon;
DROP TRIGGER billing_subscription_first_coupon ON billing_subscription;
DROP FUNCTION billing_subscription_first_coupon();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0016_audit_trail'),
        ('pricing', '0005_coupons'),
    ]

    operations = [
        migrations.CreateModel(
            name='SubscriptionCoupon',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveSmallIntegerField()),
                ('from_period', models.PositiveIntegerField(default=0)),
                ('until_period', models.PositiveIntegerField(blank=True, null=True)),
                ('added_at', models.DateTimeField()),
                ('removed_at', models.DateTimeField(blank=True, null=True)),
                ('coupon', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='uses', to='pricing.coupon')),
                ('subscription', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='coupons', to='billing.subscription')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('subscription', 'position'), name='billing_subscriptioncoupon_position'), models.UniqueConstraint(fields=('subscription', 'coupon'), name='billing_subscriptioncoupon_once'), models.CheckConstraint(condition=models.Q(models.Q(('removed_at', None), ('until_period', None)), models.Q(('removed_at__isnull', False), ('until_period__gte', models.F('from_period'))), _connector='OR'), name='billing_subscriptioncoupon_removed')],
            },
        ),
        migrations.RunSQL(FIRST_COUPON, NOT_ANY_MORE),
    ]
