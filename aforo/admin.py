"""Users, groups and schedules in the theme; apart from their look they are the libraries' own."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django_celery_beat.admin import ClockedScheduleAdmin, CrontabScheduleAdmin, PeriodicTaskAdmin
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)

from aforo.adminui import ModelAdmin

for model in (User, Group, PeriodicTask, CrontabSchedule, ClockedSchedule, IntervalSchedule):
    admin.site.unregister(model)
admin.site.unregister(SolarSchedule)


@admin.register(User)
class ThemedUserAdmin(UserAdmin, ModelAdmin):  # type: ignore[misc,type-arg]
    pass


@admin.register(Group)
class ThemedGroupAdmin(GroupAdmin, ModelAdmin):  # type: ignore[misc]
    pass


@admin.register(PeriodicTask)
class ThemedPeriodicTaskAdmin(PeriodicTaskAdmin, ModelAdmin):  # type: ignore[misc]
    pass


@admin.register(CrontabSchedule)
class ThemedCrontabScheduleAdmin(CrontabScheduleAdmin, ModelAdmin):  # type: ignore[misc]
    pass


@admin.register(ClockedSchedule)
class ThemedClockedScheduleAdmin(ClockedScheduleAdmin, ModelAdmin):  # type: ignore[misc]
    pass


@admin.register(IntervalSchedule)
class ThemedIntervalScheduleAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ["every", "period"]
