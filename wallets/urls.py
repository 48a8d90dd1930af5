"""The addresses of the wallets under `/v1`."""

from django.urls import path

from wallets.api import alerts, budgets, debits, grants, movements, statements, top_ups

urlpatterns = [
    path("wallets/debit", debits.DebitView.as_view()),
    path("wallets/debits/batch", debits.DebitBatchView.as_view()),
    path("wallets/debits/<uuid:debit_id>/reverse", debits.ReverseView.as_view()),
    path("wallets/grants", grants.GrantView.as_view()),
    path("wallets/top-ups", top_ups.TopUpsView.as_view()),
    path("wallets/top-ups/<uuid:top_up_id>", top_ups.TopUpView.as_view()),
    path("wallets/top-ups/<uuid:top_up_id>/dispute", top_ups.DisputeView.as_view()),
    path("wallets/refunds", grants.RefundsView.as_view()),
    path("wallets/<str:customer_id>/movements", movements.MovementsView.as_view()),
    path("wallets/<str:customer_id>/spending", movements.SpendingView.as_view()),
    path("wallets/<str:customer_id>/auto-refill", top_ups.AutoRefillView.as_view()),
    path("wallets/<str:customer_id>/alerts", alerts.AlertsView.as_view()),
    path("statements", statements.MonthlyStatementView.as_view()),
    path("statements.csv", statements.MonthlyStatementCsvView.as_view()),
    path("budgets", budgets.BudgetsView.as_view()),
    path("budgets/<str:customer_id>/<str:code>", budgets.BudgetView.as_view()),
    path("budgets/<str:customer_id>/<str:code>/usage", budgets.BudgetUsageView.as_view()),
]
