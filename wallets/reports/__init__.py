"""Reports that need to know credit lots; each is a file with one `report(scope)`."""
