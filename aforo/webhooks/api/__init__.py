"""`/v1/webhook-events` and `/v1/webhook-endpoints`."""
