"""The books: accounts, entries, months, seals, reports, and files for the general ledger."""
