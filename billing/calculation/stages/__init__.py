"""The nine pure stages of a settlement, one module each, named for its function."""
