"""The Celery application. Tasks carry only ids: the work is a row, so a lost message costs a
minute and a duplicate nothing.
"""

import os
import sys
from pathlib import Path
from typing import Any

from celery import Celery, Task

from aforo import actors, devdb

if "celery" in Path(sys.argv[0]).parts:
    # A worker or beat is an entry of its own, as manage.py is: the database has to run.
    devdb.ensure()

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aforo.settings")


class JobTask(Task):  # type: ignore[type-arg]
    """A task: whatever it writes is the doing of the job that its name ends with."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task as the job."""
        with actors.acting(actors.job(self.name.rpartition(".")[2])):
            return super().__call__(*args, **kwargs)


app = Celery("aforo", task_cls=JobTask)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

# The file-system broker does not make its own directories.
for folder in (app.conf.broker_transport_options or {}).values():
    Path(folder).mkdir(parents=True, exist_ok=True)
