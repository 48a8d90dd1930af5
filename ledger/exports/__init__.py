"""Files for the company general ledger."""
