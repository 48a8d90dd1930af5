from django.apps import AppConfig


class AccessConfig(AppConfig):
    name = "aforo.access"
    label = "access"
    verbose_name = "Access"
