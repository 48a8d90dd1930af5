"""The addresses of API keys under `/v1`."""

from django.urls import path

from aforo.access import api

urlpatterns = [
    path("api-keys", api.ApiKeysView.as_view()),
    path("api-keys/<int:key_id>", api.ApiKeyView.as_view()),
    path("api-keys/<int:key_id>/rotate", api.RotateKeyView.as_view()),
]
