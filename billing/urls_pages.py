"""The addresses of the back office's own pages, under `/admin/reports/`."""

from django.contrib import admin
from django.urls import path

from billing import pages

urlpatterns = [
    path("", admin.site.admin_view(pages.report_list), name="reports"),
    path("<str:name>/", admin.site.admin_view(pages.report_page), name="report"),
]
