"""Documents by mail: what is attached, and who wants none."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0024_plan_changes'),
    ]

    operations = [
        migrations.AddField(
            model_name='customer',
            name='mail_documents',
            field=models.BooleanField(db_default=True, default=True, help_text='Invoices, statements and credit notes are mailed as they are issued.'),
        ),
        migrations.AddField(
            model_name='mail',
            name='attached',
            field=models.CharField(blank=True, db_default='', default='', help_text='The file that was sent.', max_length=50),
        ),
        migrations.AddField(
            model_name='mail',
            name='document',
            field=models.ForeignKey(blank=True, help_text='What is attached, as PDF where the server makes that, else as a page.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='mails', to='billing.issueddocument'),
        ),
        migrations.AlterField(
            model_name='mail',
            name='status',
            field=models.CharField(choices=[('WAITING', 'Waiting'), ('SENDING', 'Sending'), ('SENT', 'Sent'), ('FAILED', 'Failed'), ('KEPT', 'Kept: the sandbox sends none'), ('NO_ADDRESS', 'Not sent: the customer has no address')], max_length=10),
        ),
        migrations.AlterField(
            model_name='mail',
            name='to',
            field=models.EmailField(blank=True, max_length=254),
        ),
        migrations.AddConstraint(
            model_name='mail',
            constraint=models.CheckConstraint(condition=models.Q(('status', 'NO_ADDRESS'), models.Q(('to', ''), _negated=True), _connector='XOR'), name='billing_mail_addressed'),
        ),
    ]
