"""Lots of credits: the waterfall over them, their cost basis, and the journal that moves them."""
