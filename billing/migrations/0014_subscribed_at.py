"""When each customer subscribed; what was entered before gives the credits that it gave."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0013_once_given")]
    operations = [
        migrations.AddField("subscription", "subscribed_at", models.DateTimeField(null=True)),
        migrations.RunSQL(
            """
            UPDATE billing_subscription SET subscribed_at = starts_at;
            SET CONSTRAINTS ALL IMMEDIATE;
            SET CONSTRAINTS ALL DEFERRED;
            """,
            migrations.RunSQL.noop,
        ),
        migrations.AlterField(
            "subscription",
            "subscribed_at",
            models.DateTimeField(
                help_text="The customer's time when it subscribed; a period over by then brings no"
                " credits."
            ),
        ),
    ]
