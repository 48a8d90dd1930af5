from django.apps import AppConfig


class AforoConfig(AppConfig):
    name = "aforo"
    verbose_name = "Aforo"

    def ready(self) -> None:
        """Set this project's Celery application as the default of every process."""
        from aforo import celery

        celery.app.set_default()
