from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = "Billing"

    def ready(self) -> None:
        """Answer what happens to credits; tell campaigns who the customers are."""
        from billing import tasks
        from billing.services import arrears, audiences, burning, fees, on_account, pending, renewal
        from wallets import audience, hooks

        hooks.when_credits_arrive(arrears.pay_arrears)
        hooks.when_asked_who_waits(arrears.waiting)
        hooks.before_money_leaves(pending.pay_first)
        hooks.when_asked_what_is_owed(arrears.owed)
        hooks.when_asked_when_service_ended(arrears.service_ended_at)
        hooks.when_asked_unit_price(fees.unit_price)
        hooks.when_sold_on_account(on_account.invoice_top_up)
        hooks.when_credits_are_lost(arrears.claim_lost_credits)
        hooks.when_credits_return(burning.pay_with_returned)
        hooks.when_renewal_is_due(renewal.renew_book)
        hooks.when_credits_fall(tasks.refill)
        audience.when_asked(audiences.traits_of)
