"""The Celery application. Tasks carry only ids: the work is a row, so a lost message costs a
minute and a duplicate nothing.
"""

import os
import sys
from pathlib import Path

from celery import Celery

from aforo import devdb

if "celery" in Path(sys.argv[0]).parts:
    # A worker or beat is an entry of its own, as manage.py is: the database has to run.
    devdb.ensure()

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aforo.settings")

app = Celery("aforo")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

# The file-system broker does not make its own directories.
for folder in (app.conf.broker_transport_options or {}).values():
    Path(folder).mkdir(parents=True, exist_ok=True)
