"""What is due and what was paid can be paid in its currency; rows from before stay as they are."""

import django.db.models.functions.math
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0003_schedule'),
        ('wallets', '0004_payable_top_ups'),
    ]

    operations = [
        AddConstraintNotValid(
            model_name='invoice',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('amount_due', None), ('amount_due', django.db.models.functions.math.Round(models.F('amount_due'), precision=models.Case(models.When(models.Q(('currency__in', ['CLP', 'JPY', 'KRW'])), then=models.Value(0)), models.When(models.Q(('currency__in', ['BHD', 'KWD'])), then=models.Value(3)), default=models.Value(2)))), _connector='OR'), models.Q(('paid', None), ('paid', django.db.models.functions.math.Round(models.F('paid'), precision=models.Case(models.When(models.Q(('currency__in', ['CLP', 'JPY', 'KRW'])), then=models.Value(0)), models.When(models.Q(('currency__in', ['BHD', 'KWD'])), then=models.Value(3)), default=models.Value(2)))), _connector='OR')), name='billing_invoice_payable'),
        ),
    ]
