"""The checks of what public functions and configurations are given."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from jaxtyping import Int

import abruptlab
from abruptlab.arguments import checked, require_count
from abruptlab.errors import ConfigError

Tokens = Int[torch.Tensor, "example pos"]


def asking(hint: Any) -> Callable[[Any], Any]:
    """A checked function of one argument, which gives it back."""

    def given(one: Any) -> Any:
        return one

    given.__annotations__ = {"one": hint}
    return checked(given)


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (int, np.int64(3)),
        (float, 3),
        (float, np.float32(0.5)),
        (int | None, None),
        (Path | str, "folder"),
        (Sequence[float], (1, 2.5)),
        (Sequence[float], np.array([0.5, 1.0])),
        (Sequence[tuple[int, int]], [[1, 2]]),
        (Collection[int], {1, 2}),
        (Collection[int], []),
        (Iterable[str], iter("ab")),
        (Mapping[str, int], {"a": 1}),
        (Callable[[int], int], abs),
        (Literal["a", "b"], "b"),
        (Tokens, torch.zeros(2, 3, dtype=torch.int64)),
        (Any, object()),
    ],
)
def test_what_fits_goes_through(hint: Any, value: Any) -> None:
    assert asking(hint)(value) is value


@pytest.mark.parametrize(
    ("hint", "value", "line"),
    [
        (int, True, "one: expected int, got True"),
        (int, 2.0, "one: expected int, got 2.0"),
        (float, "1", "one: expected float, got '1'"),
        (int | None, "x", "one: expected int or None, got 'x'"),
        (Sequence[float], 0.5, "one: expected a list of float, got 0.5"),
        (Sequence[str], "word", "one: expected a list of str, got 'word'"),
        (Sequence[int], [], "one: expected at least one, got none"),
        (Sequence[int] | None, [], "one: expected at least one, got none"),
        (Collection[tuple[int, int]], [(1, 2.5)], "one: expected a list of (int, int), got [(1, 2.5)]"),
        (Mapping[str, int], [1], "one: expected a dictionary from str to int, got [1]"),
        (Callable[[int], int], 1, "one: expected a function, got 1"),
        (Literal["a", "b", "c"], "d", "one: expected a, b or c, got 'd'"),
        (Path, 3, "one: expected a Path, got 3"),
        (
            abruptlab.Run,
            "laptop",
            "one: expected a Run, as abruptlab.Run(folder) or abruptlab.pretrained_run(name)",
        ),
        (Tokens, torch.zeros(2), "one: expected Int[Tensor, 'example pos'], got a Tensor, float32 [2]"),
        (Sequence[str], list(range(99)), "one: expected a list of str, got a list"),
    ],
)
def test_what_does_not_is_one_line(hint: Any, value: Any, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        asking(hint)(value)
    assert str(caught.value).startswith(line)


def test_a_count_is_a_whole_number_within_its_bounds() -> None:
    require_count(np.int64(3), "count", 1, 3)
    for wrong in (0, 4, 1.0, True, "2", None):
        with pytest.raises(ConfigError, match="count: expected a whole number from 1 to 3"):
            require_count(wrong, "count", 1, 3)


def test_too_few_arguments_are_pythons_own_error() -> None:
    with pytest.raises(TypeError, match=r"given\(\) missing 1 required positional argument"):
        asking(int)()  # pyright: ignore[reportCallIssue]


def test_all_public_functions_check_and_keep_what_they_say() -> None:
    functions = {name: getattr(abruptlab, name) for name in dir(abruptlab) if name.islower() and name[0] != "_"}
    unchecked = [name for name, function in functions.items() if "with_checks" not in function.__code__.co_name]
    assert not unchecked
    assert len(functions) > 60
    assert all(function.__doc__ for function in functions.values())
