"""The Celery application. Tasks carry only ids: the work is a row, so a lost message costs a
minute and a duplicate nothing.
"""

import os
from pathlib import Path

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aforo.settings")

app = Celery("aforo")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

# The file-system broker does not make its own directories.
for folder in (app.conf.broker_transport_options or {}).values():
    Path(folder).mkdir(parents=True, exist_ok=True)
