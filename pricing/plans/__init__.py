"""Rate plans: their versions, drafts and differences."""
