"""Credits that are not sold: grants, campaign grants, rollover, expiry, opening balances."""
