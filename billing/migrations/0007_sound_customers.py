"""A customer's time zone exists, and a country is two capitals, whoever writes them."""

from django.db import migrations

# What earlier versions let in would stop every read of the customer: it becomes UTC, no country.
REPAIR = """
UPDATE billing_customer SET timezone = 'UTC'
    WHERE timezone NOT IN (SELECT name FROM pg_timezone_names);
UPDATE billing_customer SET country = '' WHERE country !~ '^([A-Z]{2})?$';
"""

# The database refuses a time zone that it cannot compute with by failing to compute with it.
GUARD = """
ALTER TABLE billing_customer
    ADD CONSTRAINT billing_customer_timezone
        CHECK (('epoch'::timestamptz AT TIME ZONE timezone) IS NOT NULL),
    ADD CONSTRAINT billing_customer_country CHECK (country ~ '^([A-Z]{2})?$');
"""

UNDO = """
ALTER TABLE billing_customer
    DROP CONSTRAINT billing_customer_timezone,
    DROP CONSTRAINT billing_customer_country;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0006_unbilled_usage'),
    ]

    operations = [
        migrations.RunSQL(REPAIR, migrations.RunSQL.noop),
        migrations.RunSQL(GUARD, UNDO),
    ]
