"""Training of families that need no task network."""
