"""Measurements on runs and models: each file one experiment, each result a dataclass. No files, plots or printing."""
