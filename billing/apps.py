from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = "Billing"

    def ready(self) -> None:
        """Pay arrears first whenever credits arrive; tell campaigns who the customers are."""
        from billing.services import audiences, settlement
        from wallets import audience, hooks

        hooks.when_credits_arrive(settlement.pay_arrears)
        audience.when_asked(audiences.traits_of)
