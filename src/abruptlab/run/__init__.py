"""The folder of a run, as the training writes it and everything after reads it."""
