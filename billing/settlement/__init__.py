"""Settling a cycle: seal, load, burn, rate late usage again, and write."""
