"""Configure the catalogue: metrics, rate plans and their versions, offerings."""

from pricing.reads import NotPublished, PricedCharge, charges_of, current_version, find_offering
from pricing.services.codes import CODE_PATTERN, CodeTaken
from pricing.services.comparing import Change, diff
from pricing.services.coupons import (
    CouponSpent,
    UnknownCoupon,
    check_coupon,
    create_coupon,
    get_coupon,
    redeem_coupon,
)
from pricing.services.filters import OPERATORS
from pricing.services.metrics import (
    MetricInUse,
    UnknownMetric,
    check_measure,
    create_metric,
    get_metric,
    update_metric,
)
from pricing.services.offerings import (
    UnknownOffering,
    create_offering,
    get_offering,
    update_offering,
)
from pricing.services.plans import (
    DraftExists,
    NoDraft,
    OnSale,
    UnknownRatePlan,
    begin_draft,
    check_wording,
    create_rate_plan,
    create_version,
    get_rate_plan,
    get_version,
    publish,
    retire,
    update_draft,
)
from pricing.services.wording import Wording

__all__ = [
    "CODE_PATTERN",
    "OPERATORS",
    "Change",
    "CodeTaken",
    "CouponSpent",
    "DraftExists",
    "MetricInUse",
    "NoDraft",
    "NotPublished",
    "OnSale",
    "PricedCharge",
    "UnknownCoupon",
    "UnknownMetric",
    "UnknownOffering",
    "UnknownRatePlan",
    "Wording",
    "begin_draft",
    "charges_of",
    "check_coupon",
    "check_measure",
    "check_wording",
    "create_coupon",
    "create_metric",
    "create_offering",
    "create_rate_plan",
    "create_version",
    "current_version",
    "diff",
    "find_offering",
    "get_coupon",
    "get_metric",
    "get_offering",
    "get_rate_plan",
    "get_version",
    "publish",
    "redeem_coupon",
    "retire",
    "update_draft",
    "update_metric",
    "update_offering",
]
