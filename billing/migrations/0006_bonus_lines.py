"""Documents state what credits pay at face beyond what was paid for them."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0005_debts'),
    ]

    operations = [
        migrations.AlterField(
            model_name='invoiceline',
            name='kind',
            field=models.CharField(choices=[('USAGE', 'Usage'), ('FEE', 'Fee'), ('COMMIT', 'Commit'), ('DISCOUNT', 'Discount'), ('TAX', 'Tax'), ('PRORATION', 'Proration'), ('OVERAGE', 'Overage'), ('BONUS', 'Bonus'), ('ADJUSTMENT', 'Adjustment'), ('ROUNDING', 'Rounding'), ('CREDITS', 'Credits')], max_length=10),
        ),
    ]
