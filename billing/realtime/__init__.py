"""Usage in real time: debits, reservations and captures at the marginal price."""
