"""A keyed request keeps who asked."""

import aforo.actors
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [('access', '0003_operation_names')]

    operations = [
        migrations.AddField(
            model_name='keyedrequest',
            name='actor_id',
            field=models.CharField(default=aforo.actors.current_id, max_length=100),
        ),
        migrations.AddField(
            model_name='keyedrequest',
            name='actor_kind',
            field=models.CharField(choices=[('API_KEY', 'API_KEY'), ('STAFF', 'STAFF'), ('JOB', 'JOB')], default=aforo.actors.current_kind, max_length=7),
        ),
    ]
