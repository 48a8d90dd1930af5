"""Starts that lie ahead: what is asked once one is reached waits for it, as for a renewal."""

from django.db import migrations, models

RENEWS_AT = """
CREATE OR REPLACE FUNCTION billing_renews_at(customer bigint) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
    SELECT min(CASE status WHEN 'CREATED' THEN starts_at ELSE current_ends_at END)
    FROM billing_subscription
    WHERE customer_id = customer AND (
        status IN ('TRIALING', 'ACTIVE', 'SUSPENDED')
        OR (status = 'CREATED' AND NOT is_fee_due AND starts_at > subscribed_at)
    )
$$;

CREATE OR REPLACE TRIGGER billing_subscription_renews
    AFTER INSERT OR UPDATE OF status, current_ends_at, starts_at, is_fee_due
    ON billing_subscription FOR EACH ROW EXECUTE FUNCTION billing_subscription_renews();
ALTER TABLE billing_subscription ENABLE ALWAYS TRIGGER billing_subscription_renews;
"""
OF_CYCLES = """
CREATE OR REPLACE FUNCTION billing_renews_at(customer bigint) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
    SELECT min(current_ends_at) FROM billing_subscription
    WHERE customer_id = customer AND status IN ('TRIALING', 'ACTIVE', 'SUSPENDED')
$$;

CREATE OR REPLACE TRIGGER billing_subscription_renews AFTER INSERT OR UPDATE OF status, current_ends_at
    ON billing_subscription FOR EACH ROW EXECUTE FUNCTION billing_subscription_renews();
ALTER TABLE billing_subscription ENABLE ALWAYS TRIGGER billing_subscription_renews;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0029_credit_units'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='subscription',
            index=models.Index(condition=models.Q(('status', 'CREATED')), fields=['starts_at'], name='billing_subscription_start'),
        ),
        migrations.RunSQL(RENEWS_AT, OF_CYCLES),
    ]
