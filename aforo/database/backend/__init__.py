"""Django's backend for PostgreSQL, with connections that are checked without asking the server."""
