"""The checks that the tests run under are there."""

import numpy as np
import pytest
import torch
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import Float, TypeCheckError
from torch import Tensor

from abruptlab.cli.printing import hours
from abruptlab.experiments.losses import smooth
from abruptlab.model.encoder import Encoder
from tests.shapes import checked


def test_what_comes_from_the_package_is_checked(encoder: Encoder) -> None:
    with pytest.raises(BeartypeCallHintViolation):
        hours("soon")  # type: ignore[arg-type]
    with pytest.raises(TypeCheckError):
        smooth(np.ones((2, 2)))
    with pytest.raises(TypeCheckError):
        encoder(torch.zeros(4, dtype=torch.long))


@checked
def _outer(a: Float[Tensor, " m"], b: "list[Float[Tensor, 'm']]", c: int = 0) -> Float[Tensor, " m"]:
    return a[:-1] if c else a


def test_one_name_is_one_size_in_arguments_and_results() -> None:
    two, three = torch.zeros(2), torch.zeros(3)
    assert len(_outer(two, [two])) == 2
    for arguments in ((two, [three]), (two, [two], 1), (two, [two], "0")):
        with pytest.raises(TypeCheckError):
            _outer(*arguments)
