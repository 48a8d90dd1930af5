"""Campaigns: what they promise, their life, and what they may still give."""
