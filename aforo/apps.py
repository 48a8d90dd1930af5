from django.apps import AppConfig
from django.core import checks


class AforoConfig(AppConfig):
    name = "aforo"
    verbose_name = "Aforo"

    def ready(self) -> None:
        """Set this project's Celery application as the default of every process; check which
        database `migrate` is about to change.
        """
        from aforo import celery
        from aforo.serving import database_schema

        celery.app.set_default()
        checks.register(database_schema.check_not_former, checks.Tags.database)
