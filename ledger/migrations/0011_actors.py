"""Every entry names its actor; what lists filter by is computed from the document."""

import django.db.models.fields.json
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [('ledger', '0010_period_by_its_name')]

    operations = [
        migrations.AddField(
            model_name='entry',
            name='actor_id',
            field=models.GeneratedField(db_persist=True, expression=django.db.models.fields.json.KeyTextTransform('id', django.db.models.fields.json.KeyTextTransform('actor', 'document')), output_field=models.TextField(null=True)),
        ),
        migrations.AddField(
            model_name='entry',
            name='actor_kind',
            field=models.GeneratedField(db_persist=True, expression=django.db.models.fields.json.KeyTextTransform('kind', django.db.models.fields.json.KeyTextTransform('actor', 'document')), output_field=models.TextField(null=True)),
        ),
        migrations.AddField(
            model_name='entry',
            name='attributes',
            field=models.GeneratedField(db_persist=True, expression=django.db.models.fields.json.KeyTransform('attributes', 'document'), output_field=models.JSONField(null=True)),
        ),
        migrations.AddField(
            model_name='entry',
            name='reason',
            field=models.GeneratedField(db_persist=True, expression=django.db.models.fields.json.KeyTextTransform('reason', 'document'), output_field=models.TextField(null=True)),
        ),
        migrations.AddConstraint(
            model_name='entry',
            constraint=models.CheckConstraint(condition=models.Q(('actor_kind__in', ['API_KEY', 'STAFF', 'JOB']), ('actor_kind__isnull', False), ('actor_id__gt', ''), ('actor_id__isnull', False)), name='ledger_entry_actor'),
        ),
    ]
