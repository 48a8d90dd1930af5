"""What operators see of a running system: health, metrics, and a line of the log a request."""
