"""The addresses of webhooks under `/v1`."""

from django.urls import path

from aforo.webhooks.api import endpoints, events

_ONE = "webhook-endpoints/<uuid:endpoint_id>"

urlpatterns = [
    path("webhook-events", events.EventsView.as_view()),
    path("webhook-endpoints", endpoints.EndpointsView.as_view()),
    path(_ONE, endpoints.EndpointView.as_view()),
    path(f"{_ONE}/rotate-secret", endpoints.RotateSecretView.as_view()),
    path(f"{_ONE}/deliveries", endpoints.DeliveriesView.as_view()),
    path(
        f"{_ONE}/deliveries/<int:delivery_id>/replay",
        endpoints.ReplayView.as_view(),
    ),
]
