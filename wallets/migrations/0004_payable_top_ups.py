"""What is paid can be paid in its currency; rows from before stay as they are."""

import django.db.models.functions.math
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0005_controls'),
        ('pricing', '0003_payable_bounds'),
        ('wallets', '0003_lapsing_holds'),
    ]

    operations = [
        AddConstraintNotValid(
            model_name='topup',
            constraint=models.CheckConstraint(condition=models.Q(('amount', None), ('amount', django.db.models.functions.math.Round(models.F('amount'), precision=models.Case(models.When(models.Q(('currency__in', ['CLP', 'JPY', 'KRW'])), then=models.Value(0)), models.When(models.Q(('currency__in', ['BHD', 'KWD'])), then=models.Value(3)), default=models.Value(2)))), _connector='OR'), name='wallets_topup_payable'),
        ),
    ]
