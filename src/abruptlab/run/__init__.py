"""The folder of a run, as everything after the training reads it."""
