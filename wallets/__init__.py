"""Prepaid credits: wallets, their lots, and everything that moves them."""
