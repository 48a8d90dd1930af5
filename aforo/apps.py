from django.apps import AppConfig


class AforoConfig(AppConfig):
    name = "aforo"
    verbose_name = "Aforo"
