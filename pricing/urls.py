"""The addresses of the catalogue under `/v1`."""

from django.urls import path

from pricing import api

urlpatterns = [
    path("metrics", api.MetricsView.as_view()),
    path("metrics/<str:code>", api.MetricView.as_view()),
    path("rate-plans", api.RatePlansView.as_view()),
    path("rate-plans/<str:code>", api.RatePlanView.as_view()),
    path("rate-plans/<str:code>/versions", api.VersionsView.as_view()),
    path("rate-plans/<str:code>/versions/<int:number>", api.VersionView.as_view()),
    path("rate-plans/<str:code>/publish", api.PublishView.as_view()),
    path("offerings", api.OfferingsView.as_view()),
    path("offerings/<str:code>", api.OfferingView.as_view()),
    path("pricing/preview", api.PricingPreviewView.as_view()),
]
