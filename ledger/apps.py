from django.apps import AppConfig
from django.db.models.signals import post_migrate  # noqa: TID251


class LedgerConfig(AppConfig):
    name = "ledger"
    verbose_name = "Books"

    def ready(self) -> None:
        """Write the chart of accounts after every migration and every flush of a test."""
        post_migrate.connect(_ensure_chart, sender=self, dispatch_uid="ledger.chart")


def _ensure_chart(**_: object) -> None:
    from ledger import services

    services.ensure_chart()
