"""The schedules of the background work, in the theme."""

from __future__ import annotations

from django.contrib import admin
from django_celery_beat.admin import ClockedScheduleAdmin, CrontabScheduleAdmin, PeriodicTaskAdmin
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)

from aforo.adminui.admins import ThemedAdmin

for model in (PeriodicTask, CrontabSchedule, ClockedSchedule, IntervalSchedule, SolarSchedule):
    admin.site.unregister(model)


@admin.register(PeriodicTask)
class ThemedPeriodicTaskAdmin(PeriodicTaskAdmin, ThemedAdmin):  # type: ignore[misc]
    """What beat sends; switched on, off and sent at once by those who may change it."""


@admin.register(CrontabSchedule)
class ThemedCrontabScheduleAdmin(CrontabScheduleAdmin, ThemedAdmin):  # type: ignore[misc]
    pass


@admin.register(ClockedSchedule)
class ThemedClockedScheduleAdmin(ClockedScheduleAdmin, ThemedAdmin):  # type: ignore[misc]
    pass


@admin.register(IntervalSchedule)
class ThemedIntervalScheduleAdmin(ThemedAdmin):  # type: ignore[misc]
    list_display = ["every", "period"]
