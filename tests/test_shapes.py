"""The checks that the tests run under are there."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

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


@checked
def _plain(a: Float[Tensor, " m"], b: list[Float[Tensor, " m"]], c: int = 0) -> Float[Tensor, " m"]:
    return a[:-1] if c else a


@pytest.mark.parametrize("function", [_outer, _plain])  # jaxtyping checks the one, beartype the other
def test_one_name_is_one_size_in_arguments_and_results(function: Callable[..., Tensor]) -> None:
    two, three = torch.zeros(2), torch.zeros(3)
    assert len(function(two, [two])) == 2
    assert len(function(three, [three])) == 3  # another call, another size
    for arguments in ((two, [three]), (two, [two], 1), (two, [two], "0")):
        with pytest.raises(TypeCheckError):
            function(*arguments)


@checked
def _halves(a: Float[Tensor, " m"]) -> Iterator[Float[Tensor, " n"]]:
    yield from a.chunk(2)


@checked
def _first_half(a: Float[Tensor, " m"], b: Float[Tensor, " n"]) -> Float[Tensor, " m"]:
    return next(_halves(b))


def test_sizes_in_a_generator_are_its_own() -> None:
    assert len(_first_half(torch.zeros(2), torch.zeros(4))) == 2
    with pytest.raises(TypeCheckError):
        _halves(torch.zeros(2, 2))


@checked
@dataclass
class _Pair:
    a: Float[Tensor, " m"]
    b: Float[Tensor, " m"]


def test_one_name_is_one_size_in_a_dataclass() -> None:
    two, three = torch.zeros(2), torch.zeros(3)
    assert len(_Pair(two, two).a) == 2
    for arguments in ((two, three), (two, [two])):
        with pytest.raises(TypeCheckError):
            _Pair(*arguments)
