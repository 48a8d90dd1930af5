"""By which way a top-up was paid, which never changes; what a dispute cost."""

import django.db.models.functions.math
from django.db import migrations, models

FROZEN = """
CREATE FUNCTION wallets_topup_way_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.paid_by <> '' AND NEW.paid_by IS DISTINCT FROM OLD.paid_by THEN
        RAISE EXCEPTION 'how a top-up was paid never changes'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER wallets_topup_way_frozen BEFORE UPDATE OF paid_by
    ON wallets_topup FOR EACH ROW EXECUTE FUNCTION wallets_topup_way_frozen();
ALTER TABLE wallets_topup ENABLE ALWAYS TRIGGER wallets_topup_way_frozen;
"""
NOT_FROZEN = """
DROP TRIGGER wallets_topup_way_frozen ON wallets_topup;
DROP FUNCTION wallets_topup_way_frozen();
"""



class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0004_budgets'),
        ('pricing', '0003_over_capture'),
        ('wallets', '0008_uncovered_of_book'),
    ]

    operations = [
        migrations.AddField(
            model_name='topup',
            name='dispute_fee',
            field=models.DecimalField(db_default=0, decimal_places=12, default=0, help_text='What the processor took for the dispute.', max_digits=38),
        ),
        migrations.AddField(
            model_name='topup',
            name='paid_by',
            field=models.CharField(blank=True, choices=[('BANK', 'Bank account'), ('PROCESSOR', 'Processor of payments')], db_default='', default='', help_text='Known once it is paid; never changes. None before 0.2: by the channel.', max_length=9),
        ),
        migrations.AddConstraint(
            model_name='topup',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('dispute_fee', None), ('dispute_fee', django.db.models.functions.math.Round(models.F('dispute_fee'), precision=models.Case(models.When(models.Q(('currency__in', ['CLP', 'JPY', 'KRW'])), then=models.Value(0)), models.When(models.Q(('currency__in', ['BHD', 'KWD'])), then=models.Value(3)), default=models.Value(2)))), _connector='OR'), models.Q(('dispute_fee', 0), models.Q(('dispute_fee__gt', 0), models.Q(('dispute', ''), _negated=True)), _connector='OR')), name='wallets_topup_dispute_fee'),
        ),
        migrations.AddConstraint(
            model_name='topup',
            constraint=models.CheckConstraint(condition=models.Q(('paid_by__in', ['', 'BANK', 'PROCESSOR']), models.Q(models.Q(('channel', 'GATEWAY'), _negated=True), models.Q(('paid_by', 'BANK'), _negated=True), _connector='OR')), name='wallets_topup_paid_by'),
        ),
        migrations.RunSQL(FROZEN, NOT_FROZEN),
    ]
