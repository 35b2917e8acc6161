"""Values and their token ids: MASK is 0, the values from −limit to +limit follow in steps of 10^−decimals."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from abruptlab.arguments import checked, require, require_count, require_types
from abruptlab.errors import VocabularyError
from abruptlab.task.matrix import MatrixTask

MASK = 0  # the id of a hidden entry


@dataclass(frozen=True)
class Vocabulary:
    """The paper's vocabulary is `Vocabulary(limit=10, decimals=2)`: ids 1 … 2001 for −10.00 … 10.00, 2002 in all."""

    limit: float
    decimals: int

    def __post_init__(self) -> None:
        require_types(self)
        require(self.limit > 0, "limit", "above 0", self.limit)
        require_count(self.decimals, "decimals", 0)

    @staticmethod
    @checked
    def of(task: MatrixTask) -> "Vocabulary":
        """The vocabulary of a task's matrices."""
        return Vocabulary(task.limit, task.decimals)

    @property
    def steps_per_unit(self) -> int:
        return 10**self.decimals

    @property
    def zero(self) -> int:
        """The id of the value 0."""
        return round(self.limit * self.steps_per_unit) + 1

    @property
    def size(self) -> int:
        """How many ids there are, MASK included."""
        return 2 * self.zero

    @property
    def separator(self) -> int:
        """The id of SEP, which decoders have besides."""
        return self.size

    @property
    def decoder_size(self) -> int:
        """How many ids a decoder has: these, SEP, and two that never occur. They are the paper's, which counts 405 for
        limit 2, and are kept since each of them takes part in the softmax over the next token."""
        return self.size + 3

    @checked
    def encode(self, values: Float[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
        """The id of each value, after rounding to the vocabulary's decimals (half to even).

        Raises `VocabularyError`, naming the value and the limits, if one lies outside or is not finite.
        """
        outside = ~((values * self.steps_per_unit).round().abs() < self.zero)  # so that NaN counts as outside
        if outside.any():
            worst = values[outside][0].item()
            raise VocabularyError(
                f"value {worst:.{self.decimals}f} has no token: the vocabulary covers "
                f"{-self.limit:.{self.decimals}f} to {self.limit:.{self.decimals}f} (the task's limit)"
            )
        return self.encode_known(values)

    def encode_known(self, values: Float[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
        """`encode` of values that are known to have an id: unchecked, so that nothing waits for the device."""
        return (values * self.steps_per_unit).round().long() + self.zero

    @checked
    def decode(self, ids: Int[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The value of each id; NaN for MASK.

        Raises `VocabularyError` for an id that is none of the vocabulary's.
        """
        ids = ids.long()  # an eight-bit number would wrap
        strange = (ids < 0) | (ids >= self.size)
        if strange.any():
            raise VocabularyError(f"token {ids[strange][0].item()} does not exist: expected 0 to {self.size - 1}")
        return torch.where(ids == MASK, torch.nan, (ids - self.zero) / self.steps_per_unit)
