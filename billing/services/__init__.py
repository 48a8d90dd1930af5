"""What billing does: customers, subscriptions, usage, settlements, invoices, runs, proofs."""
