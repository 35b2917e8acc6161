"""The random tests of tests/fuzz at length. What came of them is in results/reliability.md.

The environment may set other counts: FUZZ_WORDS (command lines), FUZZ_TOML (of configurations, and as many of sweeps),
FUZZ_DAMAGE (run folders of each of two kinds), FUZZ_KILLS (at least, of each of four commands).
"""

import pytest

from tests.fuzz import test_damage, test_kills, test_toml, test_words
from tests.fuzz.outcome import counted
from tests.fuzz.test_damage import killed, test_damaged_folders, whole
from tests.fuzz.test_kills import random_, test_completions, test_pages, test_sweeps, test_trainings
from tests.fuzz.test_toml import test_changed_configurations, test_changed_sweeps
from tests.fuzz.test_words import room, test_random_command_lines

__all__ = [
    "killed",
    "random_",
    "room",
    "test_changed_configurations",
    "test_changed_sweeps",
    "test_completions",
    "test_damaged_folders",
    "test_pages",
    "test_random_command_lines",
    "test_sweeps",
    "test_trainings",
    "whole",
]


@pytest.fixture(autouse=True)
def long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_words, "COUNT", counted("FUZZ_WORDS", 2500))
    monkeypatch.setattr(test_toml, "COUNT", counted("FUZZ_TOML", 5000))
    monkeypatch.setattr(test_damage, "COUNT", counted("FUZZ_DAMAGE", 600))
    monkeypatch.setattr(test_kills, "COUNT", counted("FUZZ_KILLS", 60))
