"""Credits that are sold: top-ups, payments, refunds, disputes and automatic refill."""
