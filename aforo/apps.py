from django.apps import AppConfig


class AforoConfig(AppConfig):
    name = "aforo"
    verbose_name = "Aforo"

    def ready(self) -> None:
        """Make the tasks of every process belong to this project's application."""
        from aforo import celery

        celery.app.set_default()
