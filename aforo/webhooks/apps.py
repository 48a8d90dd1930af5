from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    name = "aforo.webhooks"
    label = "webhooks"
    verbose_name = "Webhooks"
