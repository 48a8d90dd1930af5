"""Wallets, lots and top-ups in credit units; what a lot is counted in never changes."""

from django.db import migrations, models

FROZEN = """
CREATE TRIGGER wallets_creditlot_unit_frozen BEFORE UPDATE OF credit_unit ON wallets_creditlot
    FOR EACH ROW EXECUTE FUNCTION wallets_lot_terms_frozen();
ALTER TABLE wallets_creditlot ENABLE ALWAYS TRIGGER wallets_creditlot_unit_frozen;
"""
NOT_FROZEN = "DROP TRIGGER wallets_creditlot_unit_frozen ON wallets_creditlot;"


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0008_closing'),
        ('pricing', '0009_credit_units'),
        ('wallets', '0017_alerts'),
    ]

    operations = [
        migrations.AddField(
            model_name='creditlot',
            name='credit_unit',
            field=models.CharField(blank=True, db_default='', default='', help_text='What it is counted in, where that is no currency: then `currency` was paid.', max_length=10),
        ),
        migrations.AddField(
            model_name='topup',
            name='credit_unit',
            field=models.CharField(blank=True, db_default='', default='', max_length=10),
        ),
        migrations.AddField(
            model_name='topup',
            name='credits',
            field=models.DecimalField(blank=True, decimal_places=12, help_text='How many credits of the unit it buys.', max_digits=38, null=True),
        ),
        migrations.AlterField(
            model_name='wallet',
            name='currency',
            field=models.CharField(max_length=10),
        ),
        migrations.AddConstraint(
            model_name='creditlot',
            constraint=models.CheckConstraint(condition=models.Q(('credit_unit', ''), models.Q(('wallet__isnull', False), models.Q(('carrying', 0), models.Q(('currency', ''), _negated=True), _connector='OR')), _connector='OR'), name='wallets_lot_credit_unit'),
        ),
        migrations.AddConstraint(
            model_name='topup',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('credit_unit', ''), ('credits', None)), models.Q(models.Q(('credit_unit', ''), _negated=True), ('bonus_metric', None), ('credits__gt', 0)), _connector='OR'), name='wallets_topup_credits'),
        ),
        migrations.RunSQL(FROZEN, NOT_FROZEN),
    ]
