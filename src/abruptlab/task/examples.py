"""Batches of examples."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, TypeVar

import torch
from jaxtyping import Int
from torch import Tensor

from abruptlab.arguments import shown

Batched = TypeVar("Batched", bound="Examples")


class Examples:
    """A batch of examples: a frozen dataclass, each of whose tensors has an example a row; the rest is the same for
    all of them."""

    __dataclass_fields__: ClassVar[dict[str, Any]]
    tokens: Int[Tensor, "example place"]
    size: tuple[int, int]  # what all of them have, and batches may differ in

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All tensors, in the order of the fields."""
        return tuple(value for value in vars(self).values() if isinstance(value, Tensor))

    def map(self: Batched, change: Callable[[Tensor], Tensor]) -> Batched:
        """The same with each tensor changed."""
        return replace(self, **{name: change(value) for name, value in vars(self).items() if isinstance(value, Tensor)})

    def __init_subclass__(cls) -> None:
        cls.__repr__ = Examples.__repr__  # a dataclass would write its own, of all numbers, over one that is inherited

    def __repr__(self) -> str:
        """What is in it, without the numbers."""
        parts = (f"{name}={shown(value)}" for name, value in vars(self).items())
        return f"{type(self).__name__}({', '.join(parts)})"

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self: Batched, part: slice) -> Batched:
        """The examples of a slice of the batch."""
        return self.map(lambda tensor: tensor[part])

    def to(self: Batched, device: torch.device | str) -> Batched:
        """The same batch on `device`."""
        return self.map(lambda tensor: tensor.to(device))


def cat(batches: Sequence[Batched]) -> Batched:
    """Batches of one kind and size as one."""
    columns = zip(*(batch.tensors for batch in batches), strict=True)
    joined = iter([torch.cat(column) for column in columns])
    return batches[0].map(lambda _: next(joined))
