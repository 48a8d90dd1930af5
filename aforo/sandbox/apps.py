from django.apps import AppConfig


class SandboxConfig(AppConfig):
    name = "aforo.sandbox"
    label = "sandbox"
    verbose_name = "Sandbox"
