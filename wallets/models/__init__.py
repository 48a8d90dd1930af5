"""Wallets, lots and everything that can happen to them."""

from wallets.models.campaigns import CampaignGrant
from wallets.models.lots import CreditLot, Movement, MovementKind, Source
from wallets.models.operations import Debit, Operation, Strategy
from wallets.models.reservations import Hold, Reservation, ReservationKind, ReservationStatus
from wallets.models.top_ups import AutoRefill, Channel, Dispute, TopUp, TopUpStatus
from wallets.models.wallets import SpendState, UnitWallet, Wallet

__all__ = [
    "AutoRefill",
    "CampaignGrant",
    "Channel",
    "CreditLot",
    "Debit",
    "Dispute",
    "Hold",
    "Movement",
    "MovementKind",
    "Operation",
    "Reservation",
    "ReservationKind",
    "ReservationStatus",
    "Source",
    "SpendState",
    "Strategy",
    "TopUp",
    "TopUpStatus",
    "UnitWallet",
    "Wallet",
]
