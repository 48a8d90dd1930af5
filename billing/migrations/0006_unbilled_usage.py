"""Usage that is accepted and never billed, with the reason."""

import django.db.models.deletion
from django.db import migrations, models

APPEND_ONLY = """
CREATE TRIGGER billing_unbilledusage_append_only BEFORE UPDATE OR DELETE ON billing_unbilledusage
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
ALTER TABLE billing_unbilledusage ENABLE ALWAYS TRIGGER billing_unbilledusage_append_only;
"""


class Migration(migrations.Migration):

    dependencies = [
        ("billing", "0005_renewals"),
        ('ledger', '0005_controls'),
        ('pricing', '0003_payable_bounds'),
    ]

    operations = [
        migrations.CreateModel(
            name='UnbilledUsage',
            fields=[
                ('event', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='unbilled', serialize=False, to='billing.usageevent')),
                ('reason', models.CharField(choices=[('no_subscription', 'Nothing that the customer subscribed to charges it then.'), ('paused', 'The subscription was paused.'), ('too_old', 'It came too long after its cycle was settled.'), ('missing_property', 'It lacks the property that the metric reads.'), ('not_a_number', 'The property that the metric adds up is no number.')], max_length=20)),
                ('noted_at', models.DateTimeField()),
                ('book', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ledger.book')),
                ('metric', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='pricing.metric')),
            ],
            options={
                'indexes': [models.Index(fields=['book', 'event'], name='billing_unbilled_book')],
                'constraints': [models.CheckConstraint(condition=models.Q(('reason__in', ['no_subscription', 'paused', 'too_old', 'missing_property', 'not_a_number'])), name='billing_unbilledusage_reason')],
            },
        ),
        migrations.RunSQL(
            APPEND_ONLY, "DROP TRIGGER billing_unbilledusage_append_only ON billing_unbilledusage;"
        ),
    ]
