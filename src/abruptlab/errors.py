"""The mistakes a user can make: each is raised with one line that says what was expected and what came.

The command line prints that line and exits non-zero; only these (never a traceback) reach a user for a mistake of
theirs.
"""


class AbruptlabError(Exception):
    """Base of every error that is the user's or the machine's to mend, not ours."""


class ConfigError(AbruptlabError):
    """A configuration (preset name, TOML file, field) that makes no sense."""


class VocabularyError(AbruptlabError, ValueError):
    """A value that has no token."""


class SiteError(AbruptlabError, KeyError):
    """A site, layer or head that the model does not have."""

    __str__ = Exception.__str__  # KeyError would print the message in quotes


class RunError(AbruptlabError):
    """A run folder that is missing, belongs to another run, or cannot be written."""


class CheckpointError(RunError):
    """A checkpoint that is missing, truncated or altered."""


class DataError(AbruptlabError, ValueError):
    """Matrices to be completed that are not what they should be."""


class DivergedError(AbruptlabError):
    """Training met a NaN or infinite loss, or forgot what it had learnt."""
