"""The life of a subscription: subscribing, cancelling, pausing and resuming."""
