from django.urls import path

from aforo.webhooks import api

urlpatterns = [
    path("webhook-events", api.EventsView.as_view()),
]
