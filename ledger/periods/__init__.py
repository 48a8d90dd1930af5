"""Months: close them, freeze what they add up to, open them again."""
