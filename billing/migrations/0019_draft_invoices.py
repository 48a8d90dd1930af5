"""When a draft that may be looked at first is finalized."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0018_document_files'),
    ]

    operations = [
        migrations.AddField(
            model_name='invoice',
            name='finalizes_at',
            field=models.DateTimeField(blank=True, help_text='When a draft that may be looked at first is finalized.', null=True),
        ),
    ]
