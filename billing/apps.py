from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = "Billing"

    def ready(self) -> None:
        """Register billing's answers at the wallets' port."""
        from billing.campaigns import audiences
        from billing.cycle_end import renewal
        from billing.invoicing import on_account
        from billing.jobs import tasks
        from billing.prepaid import arrears
        from billing.settlement import usage_burn
        from billing.simulation import unbilled_usage
        from billing.subscriptions import advance_fees
        from wallets import audience, port

        port.when_credits_arrive(arrears.pay_arrears)
        port.when_asked_who_waits(arrears.waiting)
        port.before_money_leaves(unbilled_usage.pay_first)
        port.when_asked_what_is_owed(arrears.owed)
        port.when_asked_usage_overage(unbilled_usage.overage)
        port.when_asked_when_service_ended(arrears.service_ended_at)
        port.when_asked_unit_price(advance_fees.unit_price)
        port.when_sold_on_account(on_account.invoice_top_up)
        port.when_credits_are_lost(arrears.claim_lost_credits)
        port.when_credits_return(usage_burn.pay_with_returned)
        port.when_renewal_is_due(renewal.renew_book)
        port.when_credits_fall(tasks.refill)
        audience.when_asked(audiences.traits_of)
