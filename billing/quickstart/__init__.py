"""The quickstart: accounts and keys, and the demonstration."""
