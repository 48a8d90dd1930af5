"""What a beat process sends every minute: the sweep, and a sign of life of the workers for runs, since
the sweep has a queue of its own. Both are edited in the back office.
"""

from django.db import migrations

TASKS = {
    "Sweep everything that is due": "billing.tasks.sweep",
    "Show that a worker for runs lives": "billing.tasks.show_life",
}


def write_schedule(apps, schema_editor):
    every_minute, _ = apps.get_model("django_celery_beat", "IntervalSchedule").objects.get_or_create(
        every=1, period="minutes"
    )
    for name, task in TASKS.items():
        apps.get_model("django_celery_beat", "PeriodicTask").objects.get_or_create(
            name=name, defaults={"task": task, "interval": every_minute}
        )


def delete_schedule(apps, schema_editor):
    apps.get_model("django_celery_beat", "PeriodicTask").objects.filter(name__in=TASKS).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0002_guards"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]
    operations = [migrations.RunPython(write_schedule, delete_schedule)]
