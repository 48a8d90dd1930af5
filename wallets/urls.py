"""The addresses of the wallets under `/v1`."""

from django.urls import path

from wallets.api import bought, debits, movements, reservations

urlpatterns = [
    path("wallets/debit", debits.DebitView.as_view()),
    path("wallets/debits/batch", debits.DebitBatchView.as_view()),
    path("wallets/debits/<uuid:debit_id>/reverse", debits.ReverseView.as_view()),
    path("wallets/reservations", reservations.ReservationsView.as_view()),
    path("wallets/reservations/<uuid:reservation_id>", reservations.ReservationView.as_view()),
    path("wallets/reservations/<uuid:reservation_id>/capture", reservations.CaptureView.as_view()),
    path("wallets/reservations/<uuid:reservation_id>/void", reservations.VoidView.as_view()),
    path("wallets/grants", bought.GrantView.as_view()),
    path("wallets/top-ups", bought.TopUpView.as_view()),
    path("wallets/refunds", bought.RefundView.as_view()),
    path("wallets/<str:customer_id>/movements", movements.MovementsView.as_view()),
]
