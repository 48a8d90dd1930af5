"""Databases of released versions, which every later version upgrades."""
