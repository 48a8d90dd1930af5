"""What a capture beyond the credits leaves, and what a reservation does with it: fixed when it is
made.
"""

import django.db.models.expressions
from django.db import migrations, models


FROZEN = """
CREATE FUNCTION wallets_reservation_terms_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.over_capture, NEW.grace_seconds) IS DISTINCT FROM (OLD.over_capture, OLD.grace_seconds)
    THEN
        RAISE EXCEPTION 'what a reservation does beyond its holds never changes'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER wallets_reservation_terms_frozen BEFORE UPDATE OF over_capture, grace_seconds
    ON wallets_reservation FOR EACH ROW EXECUTE FUNCTION wallets_reservation_terms_frozen();
ALTER TABLE wallets_reservation ENABLE ALWAYS TRIGGER wallets_reservation_terms_frozen;
"""
NOT_FROZEN = """
DROP TRIGGER wallets_reservation_terms_frozen ON wallets_reservation;
DROP FUNCTION wallets_reservation_terms_frozen();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0003_chart'),
        ('wallets', '0002_guards'),
    ]

    operations = [
        migrations.AddField(
            model_name='debit',
            name='debt',
            field=models.DecimalField(db_default=0, decimal_places=12, default=0, help_text='How much the next credits pay.', max_digits=38),
        ),
        migrations.AddField(
            model_name='debit',
            name='debt_reversed',
            field=models.DecimalField(db_default=0, decimal_places=12, default=0, max_digits=38),
        ),
        migrations.AddField(
            model_name='debit',
            name='uncovered',
            field=models.DecimalField(db_default=0, decimal_places=12, default=0, help_text='How much nobody pays.', max_digits=38),
        ),
        migrations.AddField(
            model_name='reservation',
            name='debt',
            field=models.DecimalField(db_default=0, decimal_places=12, default=0, help_text='What its captures left to be paid by the next credits, under DEBT.', max_digits=38),
        ),
        migrations.AddField(
            model_name='reservation',
            name='grace_seconds',
            field=models.PositiveIntegerField(db_default=0, default=0, help_text='How long after its end it may still be captured.'),
        ),
        migrations.AddField(
            model_name='reservation',
            name='over_capture',
            field=models.CharField(choices=[('REFUSE', 'Refuse: the capture is refused'), ('AVAILABLE', 'Available: takes what is there, the rest stays uncovered'), ('DEBT', 'Debt: the next credits pay the rest')], db_default='REFUSE', default='REFUSE', help_text='What happens to the part of a capture that no credit covers.', max_length=9),
        ),
        migrations.AddField(
            model_name='reservation',
            name='uncovered',
            field=models.DecimalField(db_default=0, decimal_places=12, default=0, help_text='What its captures left that nobody pays, under AVAILABLE.', max_digits=38),
        ),
        migrations.AddField(
            model_name='unitwallet',
            name='debt_limit',
            field=models.DecimalField(blank=True, decimal_places=12, help_text='Most that may be owed for captures beyond the credits; empty for none.', max_digits=38, null=True),
        ),
        migrations.AddField(
            model_name='unitwallet',
            name='grace_seconds',
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='unitwallet',
            name='over_capture',
            field=models.CharField(choices=[('REFUSE', 'Refuse: the capture is refused'), ('AVAILABLE', 'Available: takes what is there, the rest stays uncovered'), ('DEBT', 'Debt: the next credits pay the rest')], db_default='REFUSE', default='REFUSE', max_length=9),
        ),
        migrations.AddField(
            model_name='unitwallet',
            name='own_debt_limit',
            field=models.DecimalField(blank=True, decimal_places=12, help_text="The customer's own; it goes before the offering's.", max_digits=38, null=True),
        ),
        migrations.AddField(
            model_name='wallet',
            name='debt_limit',
            field=models.DecimalField(blank=True, decimal_places=12, help_text='Most that may be owed for captures beyond the credits; empty for none.', max_digits=38, null=True),
        ),
        migrations.AddField(
            model_name='wallet',
            name='grace_seconds',
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='wallet',
            name='over_capture',
            field=models.CharField(choices=[('REFUSE', 'Refuse: the capture is refused'), ('AVAILABLE', 'Available: takes what is there, the rest stays uncovered'), ('DEBT', 'Debt: the next credits pay the rest')], db_default='REFUSE', default='REFUSE', max_length=9),
        ),
        migrations.AddField(
            model_name='wallet',
            name='own_debt_limit',
            field=models.DecimalField(blank=True, decimal_places=12, help_text="The customer's own; it goes before the offering's.", max_digits=38, null=True),
        ),
        migrations.AddIndex(
            model_name='debit',
            index=models.Index(condition=models.Q(('uncovered__gt', 0), ('debt__gt', 0), _connector='OR'), fields=['occurred_at'], name='wallets_debit_uncovered'),
        ),
        migrations.AddConstraint(
            model_name='debit',
            constraint=models.CheckConstraint(condition=models.Q(('debt__gte', models.F('debt_reversed')), ('debt_reversed__gte', 0), ('quantity__gte', django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(models.F('overage'), '+', models.F('debt')), '+', models.F('uncovered'))), ('uncovered__gte', 0), models.Q(models.Q(('debt', 0), ('uncovered', 0)), models.Q(('reservation__isnull', False), ('wallet__isnull', False)), _connector='OR')), name='wallets_debit_over_captured'),
        ),
        migrations.AddConstraint(
            model_name='reservation',
            constraint=models.CheckConstraint(condition=models.Q(('grace_seconds__lte', 86400)), name='wallets_reservation_grace'),
        ),
        migrations.AddConstraint(
            model_name='reservation',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('debt', 0), ('uncovered', 0)), models.Q(('debt', 0), ('over_capture', 'AVAILABLE'), ('uncovered__gte', 0)), models.Q(('debt__gte', 0), ('over_capture', 'DEBT'), ('uncovered', 0)), _connector='OR'), name='wallets_reservation_over_captured'),
        ),
        migrations.AddConstraint(
            model_name='reservation',
            constraint=models.CheckConstraint(condition=models.Q(('over_capture', 'REFUSE'), ('wallet__isnull', False), _connector='OR'), name='wallets_reservation_units_refuse'),
        ),
        migrations.AddConstraint(
            model_name='wallet',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('debt_limit', None), ('debt_limit__gte', 0), _connector='OR'), models.Q(('own_debt_limit', None), ('own_debt_limit__gte', 0), _connector='OR')), name='wallets_wallet_debt_limit'),
        ),
        migrations.RunSQL(FROZEN, NOT_FROZEN),
    ]
