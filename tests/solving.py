"""A method of completion by itself, on matrices of a task: in their own units, some with a blank row."""

import numpy as np
import torch
from numpy.typing import ArrayLike

from abruptlab.baselines.completer import Completer


def solve(method: Completer, given: ArrayLike) -> np.ndarray:
    """The method's values for all entries of a matrix or a batch with NaN."""
    array = np.array(given, dtype=float)
    values = torch.from_numpy(array).view(-1, *array.shape[-2:])
    return method.solve(values.nan_to_num(0.0), ~values.isnan()).numpy().reshape(array.shape)


def fill(method: Completer, given: ArrayLike) -> np.ndarray:
    """The matrices with the method's values where NaN is."""
    array = np.array(given, dtype=float)
    return np.where(np.isnan(array), solve(method, array), array)
