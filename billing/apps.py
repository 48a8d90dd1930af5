from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = "Billing"

    def ready(self) -> None:
        """Install what the wallets ask of billing."""
        from billing.port import Billing
        from wallets import port

        port.install(Billing())
