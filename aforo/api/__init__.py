"""The conventions of `/v1`: exact JSON in and out, problem details, keys, cursor pages."""
