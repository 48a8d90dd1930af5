"""Alerts of wallets, and what their days have spent."""

import django.db.models.deletion
from django.db import migrations, models


AUDIT_TRAIL = """
CREATE TRIGGER wallets_alertthreshold_audit_trail AFTER INSERT OR UPDATE OR DELETE
    ON wallets_alertthreshold FOR EACH ROW
    EXECUTE FUNCTION access_record_change('crossed_at', '', 'book_id=ledger_book');
ALTER TABLE wallets_alertthreshold ENABLE ALWAYS TRIGGER wallets_alertthreshold_audit_trail;
"""
NO_AUDIT_TRAIL = "DROP TRIGGER wallets_alertthreshold_audit_trail ON wallets_alertthreshold;"


class Migration(migrations.Migration):

    dependencies = [
        ('access', '0004_audit_trail'),
        ('ledger', '0010_approvals'),
        ('wallets', '0016_grant_parts'),
    ]

    operations = [
        migrations.CreateModel(
            name='AlertThreshold',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('unit', models.CharField(choices=[('AMOUNT', 'Amount left'), ('PERCENT', 'Percent left'), ('RUNWAY_DAYS', 'Days left at the pace of the last week'), ('SPENT_PER_DAY', 'Spent in a day (UTC)'), ('SPENT_PER_MONTH', 'Spent in a month (UTC)'), ('EXPIRING_DAYS', 'Days before credits expire')], max_length=15)),
                ('at', models.DecimalField(decimal_places=12, max_digits=38)),
                ('mail', models.BooleanField(default=True, help_text='The customer is written to, besides the webhook.')),
                ('crossed_at', models.DateTimeField(blank=True, editable=False, help_text='Empty while it is not reached.', null=True)),
                ('book', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='alert_thresholds', to='ledger.book')),
                ('unit_wallet', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='alert_thresholds', to='wallets.unitwallet')),
                ('wallet', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='alert_thresholds', to='wallets.wallet')),
            ],
            options={
                'verbose_name': 'alert',
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('unit_wallet__isnull', False), ('wallet', None)), models.Q(('unit_wallet', None), ('wallet__isnull', False)), _connector='OR'), name='wallets_alert_of_one_wallet'), models.CheckConstraint(condition=models.Q(('at__gte', 0)), name='wallets_alert_at'), models.UniqueConstraint(fields=('wallet', 'unit', 'at'), name='wallets_alert_once_of_money'), models.UniqueConstraint(fields=('unit_wallet', 'unit', 'at'), name='wallets_alert_once_of_units')],
            },
        ),
        migrations.CreateModel(
            name='SpentDay',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField()),
                ('spent', models.DecimalField(decimal_places=12, max_digits=38)),
                ('through', models.BigIntegerField(help_text='The last entry of the book that is in it.')),
                ('unit_wallet', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='wallets.unitwallet')),
                ('wallet', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='wallets.wallet')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('unit_wallet__isnull', False), ('wallet', None)), models.Q(('unit_wallet', None), ('wallet__isnull', False)), _connector='OR'), name='wallets_spentday_of_one_wallet'), models.UniqueConstraint(fields=('wallet', 'day'), name='wallets_spentday_of_money'), models.UniqueConstraint(fields=('unit_wallet', 'day'), name='wallets_spentday_of_units')],
            },
        ),
        migrations.RunSQL(AUDIT_TRAIL, NO_AUDIT_TRAIL),
    ]
