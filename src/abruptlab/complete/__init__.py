"""Completing matrices of a person's own, from files and back."""
