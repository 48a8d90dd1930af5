"""Reports that are sums of postings: balances, roll-forwards, revenue, tax."""
