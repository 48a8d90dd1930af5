"""What an offering does with captures beyond the credits."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('pricing', '0002_guards'),
    ]

    operations = [
        migrations.AddField(
            model_name='offering',
            name='debt_limit',
            field=models.DecimalField(blank=True, decimal_places=12, help_text='Most that a customer may owe for captures beyond its credits; empty for none.', max_digits=38, null=True),
        ),
        migrations.AddField(
            model_name='offering',
            name='grace_seconds',
            field=models.PositiveIntegerField(db_default=0, default=0, help_text='How long after its end a reservation may be captured, unless it names it.'),
        ),
        migrations.AddField(
            model_name='offering',
            name='over_capture',
            field=models.CharField(choices=[('REFUSE', 'Refuse: the capture is refused'), ('AVAILABLE', 'Available: takes what is there, the rest stays uncovered'), ('DEBT', 'Debt: the next credits pay the rest')], db_default='REFUSE', default='REFUSE', help_text='What reservations of money do with a capture that nothing covers, unless they name it themselves.', max_length=9),
        ),
        migrations.AddConstraint(
            model_name='offering',
            constraint=models.CheckConstraint(condition=models.Q(('grace_seconds__lte', 86400), models.Q(('debt_limit', None), ('debt_limit__gte', 0), _connector='OR'), models.Q(('billing_mode', 'PREPAID'), models.Q(('over_capture', 'DEBT'), _negated=True), _connector='OR')), name='pricing_offering_over_capture'),
        ),
    ]
