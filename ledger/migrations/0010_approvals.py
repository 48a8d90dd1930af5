"""Approvals of everything that needs a second person, for any app: limits, and what waits."""

import aforo.actors
import aforo.ids
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


TABLES = ("ledger_approvallimit", "ledger_approvalrequest")
GUARDS = "".join(
    f"""
CREATE TRIGGER {table}_decided_once BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION ledger_decided_once();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_decided_once;
"""
    for table in TABLES
) + """
CREATE TRIGGER ledger_approvallimit_audit_trail AFTER INSERT OR UPDATE OR DELETE
    ON ledger_approvallimit FOR EACH ROW EXECUTE FUNCTION access_record_change('', '', '');
ALTER TABLE ledger_approvallimit ENABLE ALWAYS TRIGGER ledger_approvallimit_audit_trail;

ALTER TABLE ledger_approvalrequest ADD CONSTRAINT ledger_approvalrequest_two_people
    CHECK (approved_by_id IS NULL OR actor_kind <> 'STAFF' OR actor_id <> approved_by_id::text);
"""


class Migration(migrations.Migration):

    dependencies = [
        ('access', '0004_audit_trail'),
        ('auth', '0012_alter_user_first_name_max_length'),
        ('ledger', '0009_provision_matrix'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ApprovalLimit',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('proposed_at', models.DateTimeField()),
                ('approved_at', models.DateTimeField(blank=True, null=True)),
                ('evidence', models.TextField(help_text='What the decision rests on.')),
                ('livemode', models.BooleanField(default=True)),
                ('action', models.CharField(choices=[('GOODWILL', 'Goodwill'), ('REFUND', 'Refund'), ('CREDIT_REFUND', 'Refund of customer credit'), ('WRITE_OFF', 'Write-off'), ('ADJUSTMENT', 'Adjustment'), ('IMPORT', 'Import'), ('MAPPING', 'Account mapping'), ('TAX_RATE', 'Tax rate'), ('EXCHANGE_RATE', 'Exchange rate')], max_length=13)),
                ('currency', models.CharField(blank=True, help_text='Empty for mappings and rates, which have no amount.', max_length=3)),
                ('amount', models.DecimalField(decimal_places=12, default=0, help_text='What may be done without a second person.', max_digits=38)),
                ('starts_at', models.DateTimeField(help_text='In force from then on, once it is approved.')),
                ('approved_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('key', models.ForeignKey(blank=True, help_text='Empty: whoever asks.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='access.apikey', verbose_name='API key')),
                ('proposed_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('role', models.ForeignKey(blank=True, help_text='Of its members: what they do alone, and approve of others. Empty: whoever asks.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='auth.group')),
            ],
            options={
                'abstract': False,
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('approved_at', None), ('approved_by', None)), models.Q(('approved_at__isnull', False), ('approved_by__isnull', False), models.Q(('approved_by', models.F('proposed_by')), _negated=True)), _connector='OR'), name='ledger_approvallimit_two_people'), models.CheckConstraint(condition=models.Q(('evidence', ''), _negated=True), name='ledger_approvallimit_why'), models.CheckConstraint(condition=models.Q(('amount__gte', 0)), name='ledger_approvallimit_amount'), models.CheckConstraint(condition=models.Q(('key', None), ('role', None), _connector='OR'), name='ledger_approvallimit_whose'), models.CheckConstraint(condition=models.Q(models.Q(('action__in', ['MAPPING', 'TAX_RATE', 'EXCHANGE_RATE']), ('amount', 0), ('currency', '')), models.Q(models.Q(('action__in', ['MAPPING', 'TAX_RATE', 'EXCHANGE_RATE']), _negated=True), models.Q(('currency', ''), _negated=True)), _connector='OR'), name='ledger_approvallimit_currency', violation_error_message='Mappings and rates have neither currency nor amount; everything else has a currency.')],
            },
        ),
        migrations.CreateModel(
            name='ApprovalRequest',
            fields=[
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('livemode', models.BooleanField()),
                ('action', models.CharField(choices=[('GOODWILL', 'Goodwill'), ('REFUND', 'Refund'), ('CREDIT_REFUND', 'Refund of customer credit'), ('WRITE_OFF', 'Write-off'), ('ADJUSTMENT', 'Adjustment'), ('IMPORT', 'Import'), ('MAPPING', 'Account mapping'), ('TAX_RATE', 'Tax rate'), ('EXCHANGE_RATE', 'Exchange rate')], max_length=13)),
                ('operation', models.CharField(help_text='What is done, by its stable name.', max_length=100)),
                ('amount', models.DecimalField(blank=True, decimal_places=12, max_digits=38, null=True)),
                ('currency', models.CharField(blank=True, max_length=3)),
                ('content', models.JSONField(help_text='What was asked, in canonical form.')),
                ('actor_kind', models.CharField(choices=[('API_KEY', 'API_KEY'), ('STAFF', 'STAFF'), ('JOB', 'JOB')], default=aforo.actors.current_kind, max_length=7)),
                ('actor_id', models.CharField(default=aforo.actors.current_id, max_length=100)),
                ('requested_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('approved_at', models.DateTimeField(blank=True, null=True)),
                ('rejected_at', models.DateTimeField(blank=True, null=True)),
                ('approved_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('book', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='approval_requests', to='ledger.book')),
                ('rejected_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('approved_at', None), ('approved_by', None)), models.Q(('approved_at__isnull', False), ('approved_by__isnull', False), ('rejected_at', None)), _connector='OR'), name='ledger_approvalrequest_approved'), models.CheckConstraint(condition=models.Q(models.Q(('rejected_at', None), ('rejected_by', None)), models.Q(('rejected_at__isnull', False), ('rejected_by__isnull', False)), _connector='OR'), name='ledger_approvalrequest_rejected'), models.CheckConstraint(condition=models.Q(models.Q(('amount', None), ('currency', '')), models.Q(('amount__gte', 0), models.Q(('currency', ''), _negated=True)), _connector='OR'), name='ledger_approvalrequest_amount')],
            },
        ),
        # They go with their tables.
        migrations.RunSQL(GUARDS, migrations.RunSQL.noop),
    ]
