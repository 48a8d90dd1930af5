"""The bounds of top-ups can be paid in their currency; rows from before stay as they are."""

import django.db.models.functions.math
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('pricing', '0002_guards'),
    ]

    operations = [
        AddConstraintNotValid(
            model_name='topuprule',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('minimum', None), ('minimum', django.db.models.functions.math.Round(models.F('minimum'), precision=models.Case(models.When(models.Q(('currency__in', ['CLP', 'JPY', 'KRW'])), then=models.Value(0)), models.When(models.Q(('currency__in', ['BHD', 'KWD'])), then=models.Value(3)), default=models.Value(2)))), _connector='OR'), models.Q(('maximum', None), ('maximum', django.db.models.functions.math.Round(models.F('maximum'), precision=models.Case(models.When(models.Q(('currency__in', ['CLP', 'JPY', 'KRW'])), then=models.Value(0)), models.When(models.Q(('currency__in', ['BHD', 'KWD'])), then=models.Value(3)), default=models.Value(2)))), _connector='OR')), name='pricing_topuprule_payable'),
        ),
    ]
