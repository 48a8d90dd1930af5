"""An invoice is void only where nothing of it was paid, credited or written off."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0025_document_mail'),
    ]

    operations = [
        migrations.AddConstraint(
            model_name='invoice',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'VOID'), _negated=True), models.Q(('credited', 0), ('paid', 0), ('written_off', 0)), _connector='OR'), name='billing_invoice_void'),
        ),
    ]
