"""The end of a cycle: settlement, the next cycle, renewal on demand, and settlement runs."""
