"""The catalogue: metrics, rate plans, offerings, coupons, campaigns, and the sums of prices."""
