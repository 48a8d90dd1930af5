"""The addresses of the wallets under `/v1`."""

from django.urls import path

from wallets import api

urlpatterns = [
    path("wallets/debit", api.DebitView.as_view()),
    path("wallets/<str:customer_id>/movements", api.MovementsView.as_view()),
    path("wallets/debits/batch", api.DebitBatchView.as_view()),
    path("wallets/grants", api.GrantView.as_view()),
    path("wallets/top-ups", api.TopUpView.as_view()),
]
