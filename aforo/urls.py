"""The addresses: the admin and `/v1` of every app; for probes see `aforo.observability.health`."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView

from aforo.api import error_codes, problems

# Addresses are tried in order, so the busiest come first.
urlpatterns: list[URLPattern | URLResolver] = [
    path("v1/", include("wallets.urls")),
    path("v1/", include("billing.urls")),
    path("v1/", include("ledger.urls")),
    path("v1/", include("pricing.urls")),
    path("v1/", include("aforo.webhooks.urls")),
    path("v1/", include("aforo.access.urls")),
    path("v1/openapi.json", SpectacularJSONAPIView.as_view(), name="openapi"),
    path("v1/docs", SpectacularSwaggerSplitView.as_view(url_name="openapi")),
    path("v1/problems/<str:code>", error_codes.explain_code),
    # The metering clients of either generation.
    path("api/v1/", include("billing.urls_ingest")),
    re_path(r"^(api/)?v1(/|$)", problems.not_found),
    path("", RedirectView.as_view(url="/admin/")),
    path("admin/", include("billing.urls_pages")),
    path("admin/", admin.site.urls),
]
