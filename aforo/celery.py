"""The Celery application. Tasks carry only ids: the work is a row, so a lost message costs a
minute and a duplicate nothing.
"""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aforo.settings")

app = Celery("aforo")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
