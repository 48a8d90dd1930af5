"""Operations and top-ups keep who asked; debits and reservations have a place for attributes."""

import aforo.actors
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [('wallets', '0015_operation_names')]

    operations = [
        migrations.AddField(
            model_name='debit',
            name='attributes',
            field=models.JSONField(blank=True, help_text="A copy of its entry's, to filter by.", null=True),
        ),
        migrations.AddField(
            model_name='operation',
            name='actor_id',
            field=models.CharField(default=aforo.actors.current_id, max_length=100),
        ),
        migrations.AddField(
            model_name='operation',
            name='actor_kind',
            field=models.CharField(choices=[('API_KEY', 'API_KEY'), ('STAFF', 'STAFF'), ('JOB', 'JOB')], default=aforo.actors.current_kind, max_length=7),
        ),
        migrations.AddField(
            model_name='reservation',
            name='attributes',
            field=models.JSONField(blank=True, help_text="A copy of its entry's, to filter by.", null=True),
        ),
        migrations.AddField(
            model_name='topup',
            name='actor_id',
            field=models.CharField(default=aforo.actors.current_id, max_length=100),
        ),
        migrations.AddField(
            model_name='topup',
            name='actor_kind',
            field=models.CharField(choices=[('API_KEY', 'API_KEY'), ('STAFF', 'STAFF'), ('JOB', 'JOB')], default=aforo.actors.current_kind, max_length=7),
        ),
    ]
