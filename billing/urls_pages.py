"""The addresses of the back office's own pages, under `/admin/`."""

from django.contrib import admin
from django.urls import path, re_path

from billing.admin import approvals, documents
from billing.finance.pages import close_files, exports, reports

urlpatterns = [
    path("approvals/", admin.site.admin_view(approvals.inbox), name="approvals"),
    path("reports/", admin.site.admin_view(reports.report_list), name="reports"),
    path("exports/", admin.site.admin_view(exports.export_list), name="exports"),
    path(
        "exports/<int:batch_id>/<str:name>",
        admin.site.admin_view(exports.export_file),
        name="export_file",
    ),
    path(
        "exports/<int:batch_id>/",
        admin.site.admin_view(exports.export_receipts),
        name="export_receipts",
    ),
    path(
        "packs/<int:pack_id>/<str:name>",
        admin.site.admin_view(close_files.close_file),
        name="close_file",
    ),
    re_path(
        r"^documents/(?P<subject>[0-9a-f-]{36})\.(?P<form>html|pdf)$",
        admin.site.admin_view(documents.document_file),
        name="document_file",
    ),
    re_path(
        r"^statements/(?P<customer_id>[0-9]{1,18})/(?P<period>20[0-9]{2}-(?:0[1-9]|1[0-2]))"
        r"\.(?P<form>html|pdf)$",
        admin.site.admin_view(documents.month_file),
        name="month_file",
    ),
    path("reports/<str:name>/", admin.site.admin_view(reports.report_page), name="report"),
]
