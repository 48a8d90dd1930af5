"""Wallets, lots and everything that can happen to them."""

from wallets.models.lots import CreditLot, Movement, MovementKind, Source
from wallets.models.operations import Debit, Operation, Strategy, TopUp, TopUpStatus
from wallets.models.wallets import SpendState, UnitWallet, Wallet

__all__ = [
    "CreditLot",
    "Debit",
    "Movement",
    "MovementKind",
    "Operation",
    "Source",
    "SpendState",
    "Strategy",
    "TopUp",
    "TopUpStatus",
    "UnitWallet",
    "Wallet",
]
