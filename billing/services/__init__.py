"""What billing does: customers, subscriptions, usage, settlement, invoices, runs, clocks, proofs."""
