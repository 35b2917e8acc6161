"""The transformers, each activation with a name, each parameter in a group."""
