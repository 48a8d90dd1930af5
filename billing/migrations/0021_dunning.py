"""Dunning: its schedules, reminders and pauses, which are append-only, and mail."""

import aforo.actors
import aforo.ids
import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

TABLES = ["billing_dunningschedule", "billing_dunningpause", "billing_reminder"]
APPEND_ONLY = "".join(
    f"""
CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_append_only;
"""
    for table in TABLES
) + """
CREATE TRIGGER billing_dunningschedule_audit_trail
    AFTER INSERT OR UPDATE OR DELETE ON billing_dunningschedule FOR EACH ROW
    EXECUTE FUNCTION access_record_change('', '', '');
ALTER TABLE billing_dunningschedule ENABLE ALWAYS TRIGGER billing_dunningschedule_audit_trail;
"""
NOT_ANY_MORE = "".join(f"DROP TRIGGER {table}_append_only ON {table};" for table in TABLES) + (
    "DROP TRIGGER billing_dunningschedule_audit_trail ON billing_dunningschedule;"
)


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0020_exemption_audit'),
    ]

    operations = [
        migrations.CreateModel(
            name='OverdueInvoice',
            fields=[
            ],
            options={
                'verbose_name': 'overdue invoice',
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=('billing.invoice',),
        ),
        migrations.CreateModel(
            name='DunningSchedule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('livemode', models.BooleanField()),
                ('reminder_days', django.contrib.postgres.fields.ArrayField(base_field=models.PositiveSmallIntegerField(), blank=True, default=list, size=None)),
                ('suspend_day', models.PositiveSmallIntegerField(blank=True, null=True)),
                ('actor_kind', models.CharField(choices=[('API_KEY', 'API_KEY'), ('STAFF', 'STAFF'), ('JOB', 'JOB')], default=aforo.actors.current_kind, max_length=7)),
                ('actor_id', models.CharField(default=aforo.actors.current_id, max_length=100)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'indexes': [models.Index(fields=['livemode', '-id'], name='billing_schedule_newest')],
            },
        ),
        migrations.CreateModel(
            name='DunningPause',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('until', models.DateTimeField(blank=True, null=True)),
                ('reason', models.CharField(max_length=300)),
                ('actor_kind', models.CharField(choices=[('API_KEY', 'API_KEY'), ('STAFF', 'STAFF'), ('JOB', 'JOB')], default=aforo.actors.current_kind, max_length=7)),
                ('actor_id', models.CharField(default=aforo.actors.current_id, max_length=100)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('customer', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='dunning_pauses', to='billing.customer')),
            ],
            options={
                'indexes': [models.Index(fields=['customer', '-id'], name='billing_dunningpause_newest')],
            },
        ),
        migrations.CreateModel(
            name='Mail',
            fields=[
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('sameness', models.CharField(max_length=200, unique=True)),
                ('to', models.EmailField(max_length=254)),
                ('subject', models.CharField(max_length=200)),
                ('text', models.TextField()),
                ('status', models.CharField(choices=[('WAITING', 'Waiting'), ('SENDING', 'Sending'), ('SENT', 'Sent'), ('FAILED', 'Failed'), ('KEPT', 'Kept: the sandbox sends none')], max_length=7)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('due_at', models.DateTimeField(help_text='When it is sent, or tried again.')),
                ('sent_at', models.DateTimeField(blank=True, null=True)),
                ('failure', models.CharField(blank=True, max_length=300)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='mails', to='billing.customer')),
                ('invoice', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='mails', to='billing.invoice')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('status__in', ['WAITING', 'SENDING'])), fields=['due_at'], name='billing_mail_waiting')],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('sent_at__isnull', False), ('status', 'SENT')), models.Q(models.Q(('status', 'SENT'), _negated=True), ('sent_at', None)), _connector='OR'), name='billing_mail_sent')],
            },
        ),
        migrations.CreateModel(
            name='Reminder',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.PositiveSmallIntegerField()),
                ('action', models.CharField(choices=[('REMIND', 'Remind'), ('SUSPEND', 'Suspend')], max_length=7)),
                ('open', models.DecimalField(decimal_places=12, max_digits=38)),
                ('occurred_at', models.DateTimeField(help_text="In the customer's time.")),
                ('actor_kind', models.CharField(choices=[('API_KEY', 'API_KEY'), ('STAFF', 'STAFF'), ('JOB', 'JOB')], default=aforo.actors.current_kind, max_length=7)),
                ('actor_id', models.CharField(default=aforo.actors.current_id, max_length=100)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('invoice', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='reminders', to='billing.invoice')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('invoice', 'day', 'action'), name='billing_reminder_once'), models.UniqueConstraint(condition=models.Q(('action', 'SUSPEND')), fields=('invoice',), name='billing_reminder_suspends'), models.CheckConstraint(condition=models.Q(('open__gt', 0)), name='billing_reminder_open')],
            },
        ),
        migrations.RunSQL(APPEND_ONLY, NOT_ANY_MORE),
    ]
