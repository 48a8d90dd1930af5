import aforo.actors
import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='ApiKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('livemode', models.BooleanField()),
                ('name', models.CharField(max_length=100)),
                ('prefix', models.CharField(help_text='The beginning of the key, to recognise it.', max_length=20)),
                ('digest', models.CharField(editable=False, max_length=64, unique=True)),
                ('scopes', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('catalog', 'Catalog'), ('billing', 'Billing'), ('wallets', 'Wallets'), ('usage', 'Usage'), ('ledger', 'Ledger')], max_length=20), size=None)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('last_used_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'verbose_name': 'API key',
            },
        ),
        migrations.CreateModel(
            name='LoginFailures',
            fields=[
                ('name_digest', models.CharField(max_length=64, primary_key=True, serialize=False)),
                ('failures', models.PositiveIntegerField()),
                ('last_at', models.DateTimeField(db_index=True)),
            ],
            options={
                'verbose_name_plural': 'login failures',
            },
        ),
        migrations.CreateModel(
            name='KeyedRequest',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=255)),
                ('operation', models.CharField(help_text='What was asked, by its stable name.', max_length=100)),
                ('content', models.JSONField(help_text='What was asked, in canonical form.')),
                ('status', models.PositiveSmallIntegerField()),
                ('body', models.TextField()),
                ('actor_kind', models.CharField(choices=[('API_KEY', 'API_KEY'), ('STAFF', 'STAFF'), ('JOB', 'JOB')], default=aforo.actors.current_kind, max_length=7)),
                ('actor_id', models.CharField(default=aforo.actors.current_id, max_length=100)),
                ('livemode', models.BooleanField()),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('livemode', 'key'), name='access_keyedrequest_key')],
            },
        ),
    ]
