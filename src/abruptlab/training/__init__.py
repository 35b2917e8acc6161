"""Training a run: the loop and what takes part in it."""
