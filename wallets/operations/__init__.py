"""Operations under an idempotency key, and their responses."""
