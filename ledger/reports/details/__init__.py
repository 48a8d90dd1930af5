"""Reports that list single postings, entries or corrections."""
