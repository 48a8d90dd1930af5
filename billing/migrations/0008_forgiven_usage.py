"""What captures of usage took beyond the credits, which its cycle does not bill."""

import django.db.models.deletion
from django.db import migrations, models


APPEND_ONLY = """
CREATE TRIGGER billing_forgivenusage_append_only BEFORE UPDATE OR DELETE ON billing_forgivenusage
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
ALTER TABLE billing_forgivenusage ENABLE ALWAYS TRIGGER billing_forgivenusage_append_only;
"""
NOT_ANY_MORE = """
DROP TRIGGER billing_forgivenusage_append_only ON billing_forgivenusage;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0007_wallet_tax'),
        ('wallets', '0008_uncovered_of_book'),
    ]

    operations = [
        migrations.CreateModel(
            name='ForgivenUsage',
            fields=[
                ('debit', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='+', serialize=False, to='wallets.debit')),
                ('cycle', models.PositiveIntegerField()),
                ('counted_at', models.DateTimeField(help_text='That of its usage event.')),
                ('net', models.DecimalField(decimal_places=12, max_digits=38)),
                ('subscription', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.subscription')),
            ],
            options={
                'indexes': [models.Index(fields=['subscription', 'cycle'], name='billing_forgivenusage_cycle')],
                'constraints': [models.CheckConstraint(condition=models.Q(('net__gt', 0)), name='billing_forgivenusage_net')],
            },
        ),
        migrations.RunSQL(APPEND_ONLY, NOT_ANY_MORE),
    ]
