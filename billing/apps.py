from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = "Billing"

    def ready(self) -> None:
        """Pay arrears first whenever credits arrive."""
        from billing.services import settlement
        from wallets import hooks

        hooks.when_credits_arrive(settlement.pay_arrears)
