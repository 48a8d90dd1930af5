"""`/v1` of the catalogue: metrics, rate plans, offerings, the price preview."""
