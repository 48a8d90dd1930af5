"""The addresses of billing under `/v1`."""

from django.urls import include, path

from billing.api import (
    books,
    campaigns,
    customers,
    migration,
    preview,
    settlements,
    usage,
    usage_windows,
)

urlpatterns = [
    path("rate-plans/<str:code>/preview", preview.PlanPreviewView.as_view()),
    path("campaigns", campaigns.CampaignsView.as_view()),
    path("campaigns/redeem", campaigns.RedeemView.as_view()),
    path("campaigns/<str:code>", campaigns.CampaignView.as_view()),
    path("campaigns/<str:code>/activate", campaigns.ActivateView.as_view()),
    path("campaigns/<str:code>/pause", campaigns.PauseView.as_view()),
    path("campaigns/<str:code>/end", campaigns.EndView.as_view()),
    path("campaigns/<str:code>/run", campaigns.CampaignRunView.as_view()),
    path("campaigns/<str:code>/progress", campaigns.ProgressView.as_view()),
    path("campaigns/<str:code>/grants", campaigns.GrantsView.as_view()),
    path("customers", customers.CustomersView.as_view()),
    path("customers/<str:customer_id>", customers.CustomerView.as_view()),
    path("subscriptions", customers.SubscriptionsView.as_view()),
    path("subscriptions/<uuid:subscription_id>", customers.SubscriptionView.as_view()),
    path("subscriptions/<uuid:subscription_id>/migrate", migration.MigrateView.as_view()),
    path("offerings/<str:code>/migration-preview", migration.OfferingMigrationView.as_view()),
    path("wallets/<str:customer_id>", books.StatementView.as_view()),
    path("settlements", settlements.SettlementsView.as_view()),
    path("settlements/run", settlements.RunsView.as_view()),
    path("settlements/runs/<uuid:run_id>", settlements.RunView.as_view()),
    path("settlements/<uuid:settlement_id>", settlements.SettlementView.as_view()),
    path("invoices", settlements.InvoicesView.as_view()),
    path("invoices/<str:reference>", settlements.InvoiceView.as_view()),
    path("tax-rates", settlements.TaxRatesView.as_view()),
    path("test-clocks", books.ClocksView.as_view()),
    path("test-clocks/<uuid:clock_id>/advance", books.AdvanceView.as_view()),
    path("ledger/verify", books.VerifyView.as_view()),
    path("usage", usage_windows.UsageView.as_view()),
    path("events", usage.CloudEventsView.as_view()),
    path("", include("billing.urls_ingest")),
]
