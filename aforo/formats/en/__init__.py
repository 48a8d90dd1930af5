"""The formats of the only language that there is."""
