"""Models: wallets, lots, top-ups, reservations, operations and campaign grants."""

from wallets.models.alerts import AlertThreshold, AlertUnit, SpentDay
from wallets.models.budgets import (
    Budget,
    BudgetChange,
    BudgetCounter,
    BudgetDelta,
    BudgetWindow,
)
from wallets.models.campaigns import CampaignGrant
from wallets.models.lots import ADDED, TAKEN, CreditLot, CreditSource, Movement, MovementKind
from wallets.models.operations import BurnStrategy, Debit, Operation
from wallets.models.reservations import Hold, Reservation, ReservationKind, ReservationStatus
from wallets.models.top_ups import (
    AutoRefill,
    DisputeState,
    GatewayRefund,
    GatewayRefundStatus,
    PaidBy,
    TopUp,
    TopUpChannel,
    TopUpStatus,
)
from wallets.models.wallets import SpendState, UnitWallet, Wallet

__all__ = [
    "ADDED",
    "TAKEN",
    "AlertThreshold",
    "AlertUnit",
    "AutoRefill",
    "Budget",
    "BudgetChange",
    "BudgetCounter",
    "BudgetDelta",
    "BudgetWindow",
    "BurnStrategy",
    "CampaignGrant",
    "CreditLot",
    "CreditSource",
    "Debit",
    "DisputeState",
    "GatewayRefund",
    "GatewayRefundStatus",
    "Hold",
    "Movement",
    "MovementKind",
    "Operation",
    "PaidBy",
    "Reservation",
    "ReservationKind",
    "ReservationStatus",
    "SpendState",
    "SpentDay",
    "TopUp",
    "TopUpChannel",
    "TopUpStatus",
    "UnitWallet",
    "Wallet",
]
