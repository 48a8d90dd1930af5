"""Serve requests: the server, its connections, middleware, health probes, background processes."""
