"""How much of open invoices is set aside, by their age: decided by two people, from an open month on."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


GUARDS = """
CREATE TRIGGER ledger_provisionmatrix_decided_once BEFORE UPDATE OR DELETE ON ledger_provisionmatrix
    FOR EACH ROW EXECUTE FUNCTION ledger_decided_once();
ALTER TABLE ledger_provisionmatrix ENABLE ALWAYS TRIGGER ledger_provisionmatrix_decided_once;
CREATE TRIGGER ledger_provisionmatrix_in_open_month BEFORE INSERT OR UPDATE ON ledger_provisionmatrix
    FOR EACH ROW WHEN (NEW.approved_at IS NOT NULL)
    EXECUTE FUNCTION ledger_estimate_in_open_month();
ALTER TABLE ledger_provisionmatrix ENABLE ALWAYS TRIGGER ledger_provisionmatrix_in_open_month;
CREATE TRIGGER ledger_provisionmatrix_audit_trail
    AFTER INSERT OR UPDATE OR DELETE ON ledger_provisionmatrix
    FOR EACH ROW EXECUTE FUNCTION access_record_change('', '', '');
ALTER TABLE ledger_provisionmatrix ENABLE ALWAYS TRIGGER ledger_provisionmatrix_audit_trail;
"""
UNGUARDED = """
DROP TRIGGER ledger_provisionmatrix_audit_trail ON ledger_provisionmatrix;
DROP TRIGGER ledger_provisionmatrix_in_open_month ON ledger_provisionmatrix;
DROP TRIGGER ledger_provisionmatrix_decided_once ON ledger_provisionmatrix;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('access', '0004_audit_trail'),
        ('ledger', '0008_closing'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            model_name='entry',
            name='event',
            field=models.CharField(choices=[('GRANT', 'Credits granted'), ('TOP_UP', 'Credits bought'), ('DEBIT', 'Credits burned'), ('HOLD', 'Credits reserved'), ('CAPTURE', 'Reservation captured'), ('RELEASE', 'Reservation released'), ('REVERSAL', 'Debit reversed'), ('EXPIRY', 'Credits lapsed'), ('ROLLOVER', 'Credits rolled over'), ('REFUND', 'Credits refunded'), ('DISPUTE', 'Top-up disputed'), ('ADJUSTMENT', 'Credits adjusted'), ('USAGE_BURNED', 'Metered usage paid by credits'), ('SETTLEMENT', 'Cycle settled'), ('USAGE_ACCRUED', 'Uncovered usage accrued'), ('FEE_RECOGNISED', 'Plan fee earned'), ('BREAKAGE_ACCRUED', 'Breakage accrued'), ('ALLOWANCE_ADJUSTED', 'Allowance for losses adjusted'), ('INVOICE', 'Invoice issued'), ('PAYMENT', 'Invoice paid'), ('CREDIT_NOTE', 'Credit note issued'), ('WRITE_OFF', 'Receivable written off'), ('MANUAL', 'Manual correction'), ('OPENING_BALANCE', 'Opening balance')], max_length=20),
        ),
        migrations.CreateModel(
            name='ProvisionMatrix',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('proposed_at', models.DateTimeField()),
                ('approved_at', models.DateTimeField(blank=True, null=True)),
                ('evidence', models.TextField(help_text='What the decision rests on.')),
                ('livemode', models.BooleanField(default=True)),
                ('currency', models.CharField(blank=True, help_text='Empty: every currency.', max_length=3)),
                ('starts_on', models.DateField(help_text='It is in force from this day on.')),
                ('current', models.DecimalField(decimal_places=6, max_digits=9, verbose_name='not due, %')),
                ('overdue_30', models.DecimalField(decimal_places=6, max_digits=9, verbose_name='1-30 days, %')),
                ('overdue_60', models.DecimalField(decimal_places=6, max_digits=9, verbose_name='31-60 days, %')),
                ('overdue_90', models.DecimalField(decimal_places=6, max_digits=9, verbose_name='61-90 days, %')),
                ('overdue_later', models.DecimalField(decimal_places=6, max_digits=9, verbose_name='over 90 days, %')),
                ('approved_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('book', models.ForeignKey(blank=True, help_text='Empty: every customer.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ledger.book', verbose_name='customer')),
                ('proposed_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name_plural': 'provision matrices',
                'abstract': False,
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('approved_at', None), ('approved_by', None)), models.Q(('approved_at__isnull', False), ('approved_by__isnull', False), models.Q(('approved_by', models.F('proposed_by')), _negated=True)), _connector='OR'), name='ledger_provisionmatrix_two_people'), models.CheckConstraint(condition=models.Q(('evidence', ''), _negated=True), name='ledger_provisionmatrix_why'), models.CheckConstraint(condition=models.Q(('current__gte', 0), ('current__lte', 100), ('overdue_30__gte', 0), ('overdue_30__lte', 100), ('overdue_60__gte', 0), ('overdue_60__lte', 100), ('overdue_90__gte', 0), ('overdue_90__lte', 100), ('overdue_later__gte', 0), ('overdue_later__lte', 100)), name='ledger_provisionmatrix_percents')],
            },
        ),
        migrations.RunSQL(GUARDS, UNGUARDED),
    ]
