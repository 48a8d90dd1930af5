"""`/v1/wallets`: credits in, credits held, credits out, and what moved."""
