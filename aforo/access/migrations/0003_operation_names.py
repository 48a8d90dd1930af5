"""What was asked under a key has a stable name instead of the text of its address."""

from django.db import migrations, models

NAMES = {
    "POST /v1/campaigns": "billing.campaigns.create",
    "POST /v1/campaigns/{code}/activate": "billing.campaigns.activate",
    "POST /v1/campaigns/{code}/end": "billing.campaigns.end",
    "POST /v1/campaigns/{code}/pause": "billing.campaigns.pause",
    "POST /v1/campaigns/{code}/run": "billing.campaigns.run",
    "POST /v1/coupons": "pricing.coupons.create",
    "POST /v1/customers": "billing.customers.create",
    "POST /v1/metrics": "pricing.metrics.create",
    "POST /v1/offerings": "pricing.offerings.create",
    "POST /v1/rate-plans": "pricing.rate_plans.create",
    "POST /v1/rate-plans/{code}/publish": "pricing.rate_plans.publish",
    "POST /v1/rate-plans/{code}/versions": "pricing.rate_plans.create_version",
    "POST /v1/rate-plans/{code}/versions/{number}/retire": "pricing.rate_plans.retire",
    "POST /v1/settlements/run": "billing.settlements.run",
    "POST /v1/subscriptions": "billing.subscriptions.create",
    "POST /v1/subscriptions/cancel": "billing.subscriptions.cancel",
    "POST /v1/subscriptions/pause": "billing.subscriptions.pause",
    "POST /v1/subscriptions/resume": "billing.subscriptions.resume",
    "POST /v1/tax-rates": "billing.tax_rates.create",
    "POST /v1/test-clocks": "billing.test_clocks.create",
}
PAIRS = ", ".join(f"('{address}', '{name}')" for address, name in NAMES.items())

# The address of a backtest named the plan, which its content does from now on.
FORWARDS = f"""
UPDATE access_keyedrequest SET operation = names.name
FROM (VALUES {PAIRS}) AS names(address, name) WHERE operation = names.address;
UPDATE access_keyedrequest SET operation = 'billing.rate_plans.backtest',
    content = content || jsonb_build_object('code', split_part(operation, '/', 4))
WHERE operation LIKE 'POST /v1/rate-plans/%/backtest';
"""

BACKWARDS = f"""
UPDATE access_keyedrequest SET operation = names.address
FROM (VALUES {PAIRS}) AS names(address, name) WHERE operation = names.name;
UPDATE access_keyedrequest SET content = content - 'code',
    operation = 'POST /v1/rate-plans/' || (content ->> 'code') || '/backtest'
WHERE operation = 'billing.rate_plans.backtest';
"""


class Migration(migrations.Migration):
    dependencies = [("access", "0002_login_failures")]
    operations = [
        migrations.RenameField("keyedrequest", "endpoint", "operation"),
        migrations.RunSQL(FORWARDS, BACKWARDS),
        migrations.AlterField(
            model_name="keyedrequest",
            name="operation",
            field=models.CharField(
                help_text="What was asked, by its stable name.", max_length=100
            ),
        ),
        migrations.AlterField(
            model_name="keyedrequest",
            name="content",
            field=models.JSONField(help_text="What was asked, in canonical form."),
        ),
    ]
