"""The catalogue, and the campaigns that give credits by it."""

from pricing.models.campaigns import Campaign, CampaignAudience, CampaignStatus, CampaignTrigger
from pricing.models.catalogue import (
    MAX_GRACE,
    Aggregation,
    BillingMode,
    Charge,
    ChargeMetric,
    ChargeTiming,
    CreditKind,
    GrantRecurrence,
    GrantTemplate,
    LateUsagePolicy,
    Metric,
    Offering,
    OfferingStatus,
    OverCapture,
    PriceModel,
    RatePlan,
    RatePlanVersion,
    VersionStatus,
    default_burn_order,
)
from pricing.models.coupons import Coupon, CouponDuration, CouponType
from pricing.models.credit_units import CreditUnit
from pricing.models.packs import Pack
from pricing.models.top_ups import BonusSlab, OnAccount, TopUpRule

__all__ = [
    "MAX_GRACE",
    "Aggregation",
    "BillingMode",
    "BonusSlab",
    "Campaign",
    "CampaignAudience",
    "CampaignStatus",
    "CampaignTrigger",
    "Charge",
    "ChargeMetric",
    "ChargeTiming",
    "Coupon",
    "CouponDuration",
    "CouponType",
    "CreditKind",
    "CreditUnit",
    "GrantRecurrence",
    "GrantTemplate",
    "LateUsagePolicy",
    "Metric",
    "Offering",
    "OfferingStatus",
    "OnAccount",
    "OverCapture",
    "Pack",
    "PriceModel",
    "RatePlan",
    "RatePlanVersion",
    "TopUpRule",
    "VersionStatus",
    "default_burn_order",
]
