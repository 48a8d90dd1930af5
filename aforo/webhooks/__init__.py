"""The outbox of events for other systems."""
