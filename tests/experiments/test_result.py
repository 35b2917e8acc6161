"""How results are shown."""

from dataclasses import dataclass

import numpy as np

from abruptlab.experiments.estimate import Estimate
from abruptlab.experiments.result import Outlined


@dataclass(frozen=True)
class Some(Outlined):
    step: int
    few: np.ndarray
    maps: np.ndarray
    label: np.ndarray
    share: Estimate
    names: tuple[str, ...]
    unknown: np.ndarray


def test_a_result_is_shown_by_what_is_in_it() -> None:
    maps = np.linspace(-1, 2, 24).reshape(2, 12)
    maps[0, 3] = np.nan
    share = Estimate(np.array([0.5, 1 / 3]), np.zeros(2))
    unknown = np.full(9, np.nan)
    some = Some(3, np.array([1, 2]), maps, np.full((3, 4), "row"), share, tuple("a long list of words" * 9), unknown)
    assert str(some).splitlines() == [
        "Some",
        "  step     3",
        "  few      [1, 2]",
        "  maps     float64 [2, 12], -1 to 2",
        "  label    <U3 [3, 4]",
        "  share    Estimate",
        "    mean   [0.5   , 0.3333]",
        "    error  [0., 0.]",
        "  names    tuple of 180",
        "  unknown  float64 [9]",
    ]
