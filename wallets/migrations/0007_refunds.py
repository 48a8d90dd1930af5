"""What was paid back of each top-up, and that it never exceeds what was paid."""

import django.db.models.expressions
import django.db.models.functions.math
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models

# Rounded as one sum for each top-up. The constraints hold what is written from now on.
BACKFILL = """
UPDATE wallets_topup t
SET refunded = least(t.amount, round(paid.back, CASE
    WHEN t.currency IN ('CLP', 'JPY', 'KRW') THEN 0 WHEN t.currency IN ('BHD', 'KWD') THEN 3
    ELSE 2 END))
FROM (
    SELECT lot.top_up_id, sum(m.carrying) AS back
    FROM wallets_movement m JOIN wallets_creditlot lot ON lot.id = m.lot_id
    WHERE m.kind = 'REFUND' GROUP BY lot.top_up_id
) paid
WHERE paid.top_up_id = t.id
"""


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0005_controls'),
        ('pricing', '0003_payable_bounds'),
        ('wallets', '0006_renewals'),
    ]

    operations = [
        migrations.AddField(
            model_name='topup',
            name='refunded',
            field=models.DecimalField(decimal_places=12, default=0, help_text='What was paid back of it.', max_digits=38),
        ),
        migrations.RunSQL(BACKFILL, migrations.RunSQL.noop),
        AddConstraintNotValid(
            model_name='topup',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('disputed', None), ('disputed', django.db.models.functions.math.Round(models.F('disputed'), precision=models.Case(models.When(models.Q(('currency__in', ['CLP', 'JPY', 'KRW'])), then=models.Value(0)), models.When(models.Q(('currency__in', ['BHD', 'KWD'])), then=models.Value(3)), default=models.Value(2)))), _connector='OR'), models.Q(('refunded', None), ('refunded', django.db.models.functions.math.Round(models.F('refunded'), precision=models.Case(models.When(models.Q(('currency__in', ['CLP', 'JPY', 'KRW'])), then=models.Value(0)), models.When(models.Q(('currency__in', ['BHD', 'KWD'])), then=models.Value(3)), default=models.Value(2)))), _connector='OR')), name='wallets_topup_paid_back_payable'),
        ),
        AddConstraintNotValid(
            model_name='topup',
            constraint=models.CheckConstraint(condition=models.Q(('disputed__gte', 0), ('refunded__gte', 0), ('refunded__lte', models.F('amount')), models.Q(('dispute__in', ['', 'won']), ('refunded__lte', django.db.models.expressions.CombinedExpression(models.F('amount'), '-', models.F('disputed'))), _connector='OR')), name='wallets_topup_paid_back'),
        ),
    ]
