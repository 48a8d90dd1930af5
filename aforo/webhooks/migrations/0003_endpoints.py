"""Endpoints, and the deliveries to them; beat sends what is due every ten seconds."""

import aforo.actors
import aforo.ids
import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models


NAME = "Deliver webhooks"


def write_schedule(apps, schema_editor):
    often, _ = apps.get_model("django_celery_beat", "IntervalSchedule").objects.get_or_create(
        every=10, period="seconds"
    )
    apps.get_model("django_celery_beat", "PeriodicTask").objects.get_or_create(
        name=NAME, defaults={"task": "webhooks.tasks.deliver", "interval": often}
    )


def delete_schedule(apps, schema_editor):
    apps.get_model("django_celery_beat", "PeriodicTask").objects.filter(name=NAME).delete()


class Migration(migrations.Migration):

    dependencies = [
        ('webhooks', '0002_feed'),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [
        migrations.CreateModel(
            name='WebhookEndpoint',
            fields=[
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('livemode', models.BooleanField()),
                ('url', models.CharField(max_length=2000)),
                ('events', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=50), blank=True, default=list, help_text='Empty: all.', size=None)),
                ('customer_id', models.CharField(blank=True, help_text='Empty: all.', max_length=64)),
                ('description', models.CharField(blank=True, max_length=200)),
                ('failing_since', models.DateTimeField(blank=True, null=True)),
                ('off_at', models.DateTimeField(blank=True, null=True)),
                ('off_reason', models.CharField(blank=True, max_length=200)),
                ('off_position', models.BigIntegerField(blank=True, null=True)),
                ('deleted_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('actor_kind', models.CharField(choices=[('API_KEY', 'API_KEY'), ('STAFF', 'STAFF'), ('JOB', 'JOB')], default=aforo.actors.current_kind, max_length=7)),
                ('actor_id', models.CharField(default=aforo.actors.current_id, max_length=100)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('off_at', None), ('off_position', None)), models.Q(('off_at__isnull', False), ('off_position__isnull', False)), _connector='OR'), name='webhooks_webhookendpoint_off')],
            },
        ),
        migrations.CreateModel(
            name='WebhookSecret',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('salt', models.CharField(editable=False, max_length=64)),
                ('key_digest', models.CharField(help_text='The beginning of the hash of the key in the environment.', max_length=16)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('endpoint', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='secrets', to='webhooks.webhookendpoint')),
            ],
        ),
        migrations.CreateModel(
            name='WebhookStream',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('customer_id', models.CharField(blank=True, max_length=64)),
                ('lane', models.CharField(blank=True, help_text='Empty for what is in order; else of a replay.', max_length=36)),
                ('due_at', models.DateTimeField(blank=True, null=True)),
                ('lease', models.UUIDField(blank=True, null=True)),
                ('endpoint', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to='webhooks.webhookendpoint')),
            ],
        ),
        migrations.CreateModel(
            name='WebhookDelivery',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.BigIntegerField()),
                ('status', models.CharField(choices=[('PENDING', 'Pending'), ('DELIVERED', 'Delivered'), ('FAILED', 'Failed')], default='PENDING', max_length=9)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('created_at', models.DateTimeField()),
                ('attempted_at', models.DateTimeField(blank=True, null=True)),
                ('response_status', models.PositiveSmallIntegerField(blank=True, null=True)),
                ('response_excerpt', models.TextField(blank=True)),
                ('error', models.CharField(blank=True, help_text='Why there was no answer.', max_length=200)),
                ('event', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to='webhooks.outboxevent')),
                ('endpoint', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='webhooks.webhookendpoint')),
                ('stream', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to='webhooks.webhookstream')),
            ],
            options={
                'verbose_name_plural': 'webhook deliveries',
            },
        ),
        migrations.AddIndex(
            model_name='webhookstream',
            index=models.Index(condition=models.Q(('due_at__isnull', False)), fields=['endpoint', 'due_at'], name='webhooks_stream_due'),
        ),
        migrations.AddConstraint(
            model_name='webhookstream',
            constraint=models.UniqueConstraint(fields=('endpoint', 'customer_id', 'lane'), name='webhooks_webhookstream_once'),
        ),
        migrations.AddIndex(
            model_name='webhookdelivery',
            index=models.Index(condition=models.Q(('status', 'PENDING')), fields=['stream', 'position'], name='webhooks_delivery_pending'),
        ),
        migrations.AddIndex(
            model_name='webhookdelivery',
            index=models.Index(fields=['endpoint', 'id'], name='webhooks_delivery_endpoint'),
        ),
        migrations.AddConstraint(
            model_name='webhookdelivery',
            constraint=models.UniqueConstraint(fields=('stream', 'event'), name='webhooks_webhookdelivery_once'),
        ),
        migrations.RunPython(write_schedule, delete_schedule),
    ]
