"""The addresses of the books under `/v1`."""

from django.urls import path

from ledger import api

urlpatterns = [
    path("ledger/entries", api.EntriesView.as_view()),
    path("ledger/trial-balance", api.TrialBalanceView.as_view()),
]
