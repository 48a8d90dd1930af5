"""The settings of the OpenAPI document, a part of `aforo.settings`."""

from __future__ import annotations

from aforo import money
from aforo.actors import ACTOR_KINDS

CURRENCY_CHOICES = [(code, code) for code in money.EXPONENTS]

_CHOICES = [
    "billing.models.InvoiceStatus",
    "billing.models.MoveKind",
    "billing.models.RunStatus",
    "billing.models.SettlementStatus",
    "billing.models.SubscriptionStatus",
    "billing.models.UnbilledReason",
    "aforo.webhooks.models.DeliveryStatus",
    "ledger.models.LedgerEvent",
    "pricing.models.Aggregation",
    "pricing.models.BillingMode",
    "pricing.models.CampaignAudience",
    "pricing.models.CampaignStatus",
    "pricing.models.CampaignTrigger",
    "pricing.models.ChargeTiming",
    "pricing.models.CouponDuration",
    "pricing.models.CouponType",
    "pricing.models.CreditKind",
    "pricing.models.GrantRecurrence",
    "pricing.models.LateUsagePolicy",
    "pricing.models.OfferingStatus",
    "pricing.models.PriceModel",
    "pricing.models.VersionStatus",
    "wallets.models.BurnStrategy",
    "wallets.models.DisputeState",
    "wallets.models.MovementKind",
    "wallets.models.ReservationStatus",
    "wallets.models.TopUpChannel",
    "wallets.models.TopUpStatus",
]
SPECTACULAR_SETTINGS = {
    "TITLE": "Aforo",
    "DESCRIPTION": "Prepaid credits: rate plans, wallets, the credit waterfall, settlement, books.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PUBLIC": True,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": r"/v1",
    "POSTPROCESSING_HOOKS": ["aforo.api.schema_document.complete"],
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    # Called by their classes (docs/decisions.md#d172); those without a class are lists.
    "ENUM_NAME_OVERRIDES": {
        **{path.rpartition(".")[2]: path for path in _CHOICES},
        "Currency": CURRENCY_CHOICES,
        "ActorKind": ACTOR_KINDS,
        "BillingInterval": ["DAY", "WEEK", "MONTH", "YEAR"],
        "CancelAt": ["NOW", "PERIOD_END"],
        "GrantSource": ["MANUAL", "GOODWILL"],
        "GivenKind": ["PROMO", "BONUS"],
        "FilterOperator": "pricing.metrics.filters.OPERATORS",
        "SkippedReason": "wallets.debits.shortages.SKIPPED",
    },
}
