"""Events get their order: a number as they are written, and their place in the feed once they have
committed. What is there already has no number, and goes first.
"""

from django.db import migrations, models

SEQUENCES = ("webhooks_event_sequence", "webhooks_feed_position")


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0001_initial")]
    operations = [
        migrations.RunSQL(
            [f"CREATE SEQUENCE {name}" for name in SEQUENCES],
            [f"DROP SEQUENCE {name}" for name in SEQUENCES],
        ),
        migrations.AlterField("outboxevent", "type", models.CharField(max_length=50)),
        migrations.AlterField(
            "outboxevent",
            "delivered_at",
            models.DateTimeField(
                blank=True, help_text="Version 0.1.0 writes it; nothing reads it.", null=True
            ),
        ),
        # In two steps: a column that is added with such a default is written to every row at once.
        migrations.AddField(
            "outboxevent", "sequence", models.BigIntegerField(editable=False, null=True)
        ),
        migrations.AlterField(
            "outboxevent",
            "sequence",
            models.BigIntegerField(
                db_default=models.Func(
                    models.Value("webhooks_event_sequence"),
                    function="nextval",
                    output_field=models.BigIntegerField(),
                ),
                editable=False,
                help_text="In the order of writing; what version 0.1.0 had written has none.",
                null=True,
            ),
        ),
        migrations.AddField(
            "outboxevent",
            "position",
            models.BigIntegerField(
                editable=False,
                help_text="Its place in the feed, given once its transaction has committed.",
                null=True,
                unique=True,
            ),
        ),
        migrations.RemoveIndex("outboxevent", "webhooks_event_undelivered"),
        migrations.AddIndex(
            "outboxevent",
            models.Index(
                condition=models.Q(("position", None)),
                fields=["sequence"],
                name="webhooks_event_waiting",
            ),
        ),
    ]
