"""Append entries to books, find them, and prove that none was changed."""
