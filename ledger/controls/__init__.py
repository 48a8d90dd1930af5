"""What two people decide about the books: policies, breakage rates, corrections by hand."""
