"""Grants of a period in parts: a change of plan in the middle of it adds to them."""

from django.db import migrations, models


FROZEN = """
CREATE TRIGGER wallets_creditlot_part_frozen BEFORE UPDATE OF grant_part
    ON wallets_creditlot FOR EACH ROW EXECUTE FUNCTION wallets_lot_terms_frozen();
ALTER TABLE wallets_creditlot ENABLE ALWAYS TRIGGER wallets_creditlot_part_frozen;
"""
NOT_FROZEN = "DROP TRIGGER wallets_creditlot_part_frozen ON wallets_creditlot;"


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0008_closing'),
        ('wallets', '0015_approvals_moved'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='creditlot',
            name='wallets_lot_plan_grant',
        ),
        migrations.AddField(
            model_name='creditlot',
            name='grant_part',
            field=models.PositiveIntegerField(db_default=0, default=0, help_text='The cycle with which a change of plan added to the grants of a period, else 0.'),
        ),
        migrations.AddConstraint(
            model_name='creditlot',
            constraint=models.UniqueConstraint(condition=models.Q(('subscription_id__isnull', False)), fields=('subscription_id', 'grant_code', 'grant_period', 'grant_part'), name='wallets_lot_plan_grant', nulls_distinct=False),
        ),
        migrations.RunSQL(FROZEN, NOT_FROZEN),
    ]
