"""The addresses of the catalogue under `/v1`."""

from django.urls import path

from pricing.api import coupons, credit_units, metrics, offerings, packs, plans, preview

urlpatterns = [
    path("metrics", metrics.MetricsView.as_view()),
    path("metrics/<str:code>", metrics.MetricView.as_view()),
    path("rate-plans", plans.RatePlansView.as_view()),
    path("rate-plans/<str:code>", plans.RatePlanView.as_view()),
    path("rate-plans/<str:code>/versions", plans.VersionsView.as_view()),
    path("rate-plans/<str:code>/versions/<int:number>", plans.VersionView.as_view()),
    path("rate-plans/<str:code>/versions/<int:number>/retire", plans.RetireView.as_view()),
    path("rate-plans/<str:code>/publish", plans.PublishView.as_view()),
    path("rate-plans/<str:code>/diff", plans.DiffView.as_view()),
    path("coupons", coupons.CouponsView.as_view()),
    path("coupons/<str:code>", coupons.CouponView.as_view()),
    path("credit-units", credit_units.CreditUnitsView.as_view()),
    path("credit-units/<str:code>", credit_units.CreditUnitView.as_view()),
    path("offerings", offerings.OfferingsView.as_view()),
    path("offerings/<str:code>", offerings.OfferingView.as_view()),
    path("packs", packs.PacksView.as_view()),
    path("packs/<str:code>", packs.PackView.as_view()),
    path("packs/<str:code>/archive", packs.PackArchiveView.as_view()),
    path("pricing/preview", preview.PricingPreviewView.as_view()),
]
