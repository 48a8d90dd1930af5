"""Finance: month close, verification of the books, reports, and their pages."""
