"""What the ORM lacks: statements over many rows, and work after a commit."""
