"""The commands of billing, and what they share."""
