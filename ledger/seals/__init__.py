"""Daily seals over all books, their copies outside the database, and their proof."""
