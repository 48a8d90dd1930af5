"""Which subscription's grant a lot comes from, and of which period, in columns of their own."""

from django.db import migrations, models

# The cause of a plan's lot is "plan:", the subscription's id of 36 characters, the grant's code
# and the period, or "once".
FILL = """
UPDATE wallets_creditlot
SET subscription_id = substr(cause, 6, 36)::uuid,
    grant_code = regexp_replace(substr(cause, 43), ':[^:]*$', ''),
    grant_period = nullif(regexp_replace(cause, '^.*:', ''), 'once')::integer
WHERE source = 'PLAN' AND cause ~ '^plan:[0-9a-f-]{36}:.+:(once|[0-9]+)$'
"""

FREEZE = """
DROP TRIGGER wallets_creditlot_terms_frozen ON wallets_creditlot;
CREATE TRIGGER wallets_creditlot_terms_frozen
    BEFORE UPDATE OF id, book_id, wallet_id, unit_wallet_id, kind, source, cause, face, carrying,
        currency, granted_at, effective_at{also} ON wallets_creditlot
    FOR EACH ROW EXECUTE FUNCTION wallets_lot_terms_frozen();
ALTER TABLE wallets_creditlot ENABLE ALWAYS TRIGGER wallets_creditlot_terms_frozen;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("ledger", "0008_one_name_each"),
        ("wallets", "0011_bonus_unit_price"),
    ]
    operations = [
        migrations.AddField(
            model_name="creditlot",
            name="subscription_id",
            field=models.UUIDField(
                blank=True, help_text="The subscription whose plan granted it.", null=True
            ),
        ),
        migrations.AddField(
            model_name="creditlot",
            name="grant_code",
            field=models.CharField(
                blank=True,
                default="",
                help_text="The grant of that plan by its code.",
                max_length=64,
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="creditlot",
            name="grant_period",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="The period granted for; none where a plan grants once.",
                null=True,
            ),
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="creditlot",
            constraint=models.UniqueConstraint(
                condition=models.Q(("subscription_id__isnull", False)),
                fields=("subscription_id", "grant_code", "grant_period"),
                name="wallets_lot_plan_grant",
                nulls_distinct=False,
            ),
        ),
        migrations.AddConstraint(
            model_name="creditlot",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("grant_code", ""), ("grant_period", None), ("subscription_id", None)
                )
                | models.Q(
                    ("subscription_id__isnull", False),
                    models.Q(("grant_code", ""), _negated=True),
                ),
                name="wallets_lot_granted_by",
            ),
        ),
        migrations.RunSQL(
            FREEZE.format(also=",\n        subscription_id, grant_code, grant_period"),
            FREEZE.format(also=""),
        ),
    ]
