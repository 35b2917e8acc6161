"""Matrix completion, the paper's task: what is drawn, and what the rest of the laboratory asks of it.

How matrices are drawn stands in `matrices`, how they are written as tokens in `vocabulary` and `sequences`, what is
minimised in `objectives`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from abruptlab.arguments import require, require_types
from abruptlab.task.base import Objective, Task

if TYPE_CHECKING:
    import torch

    from abruptlab.task.matrices import Batch

Factors = Literal["uniform", "gaussian", "laplace"]


@dataclass(frozen=True)
class MatrixTask(Task):
    """Which matrices are drawn and which of their entries are hidden."""

    kind = "matrix"
    pair = "X", "−X"

    sizes: tuple[tuple[int, int], ...] = ((7, 7),)
    """Rows and columns; with several sizes, each step draws one of them at random."""
    rank: int = 2
    """X = U Vᵀ with `rank` columns in U and V."""
    factors: Factors = "uniform"
    """Entries of U and V: Unif[−1, 1], N(0, 1), or Laplace(0, 1)."""
    decimals: int = 2
    """X is rounded to this many decimals, as input and as target."""
    limit: float = 10.0
    """The vocabulary covers the values −limit to +limit."""
    mask: Literal["random", "coherence", "fixed"] = "random"
    """Which entries are hidden: each at random; biased to high local coherence; or the same whole rows and columns."""
    mask_probability: float = 0.3
    """random, coherence: each entry is hidden with this probability (so the number of hidden entries varies)."""
    coherence_fraction: float = 0.5
    """coherence: this share of the hidden entries is taken from the highest local coherence, the rest at random."""
    hidden_rows: tuple[int, ...] = ()
    """fixed: rows hidden whole, counted from 0."""
    hidden_columns: tuple[int, ...] = ()
    """fixed: columns hidden whole, counted from 0."""
    kept: tuple[tuple[int, int], ...] = ()
    """fixed: (row, column) entries, counted from 0, that stay observed in spite of that."""

    def __post_init__(self) -> None:
        require_types(self)
        fit = len(self.sizes) > 0 and all(m > 0 and n > 0 for m, n in self.sizes)
        require(fit, "sizes", "one or more pairs of positive numbers of rows and columns", self.sizes)
        smallest = min(min(size) for size in self.sizes)
        require(1 <= self.rank <= smallest, "rank", f"1 to {smallest} (the smallest side)", self.rank)
        require(0 <= self.decimals <= 4, "decimals", "0 to 4", self.decimals)
        largest = self.largest_limit
        require(0 < self.limit <= largest, "limit", f"above 0, at most {largest}", self.limit)
        require(0 <= self.mask_probability <= 1, "mask_probability", "0 to 1", self.mask_probability)
        require(0 <= self.coherence_fraction <= 1, "coherence_fraction", "0 to 1", self.coherence_fraction)
        fit = (self.mask == "fixed") == bool(self.hidden_rows or self.hidden_columns)
        require(fit, "hidden_rows, hidden_columns", "some exactly if mask is fixed", self.mask)
        rows, columns = min(m for m, _ in self.sizes), min(n for _, n in self.sizes)
        for name, indices, count in (
            ("hidden_rows", (*self.hidden_rows, *(i for i, _ in self.kept)), rows),
            ("hidden_columns", (*self.hidden_columns, *(j for _, j in self.kept)), columns),
        ):
            require(all(0 <= i < count for i in indices), name, f"indices 0 to {count - 1}, kept entries too", indices)

    @property
    def largest_limit(self) -> int:
        """The largest limit there can be: fp32 holds every value of such a vocabulary."""
        return min(1000, 10 ** (6 - self.decimals))

    @property
    def positions(self) -> int:
        """The number of tokens of the largest matrix."""
        return max(m * n for m, n in self.sizes)

    @property
    def reach(self) -> float:
        """The largest size that an entry can have: the rank for uniform factors, else what the vocabulary covers."""
        return min(self.limit, self.rank) if self.factors == "uniform" else self.limit

    @property
    def copying_level(self) -> float:
        """E[x²] of an entry = rank · Var(u)²: the L_mask of predicting zero (r/9 for uniform factors)."""
        variance = {"uniform": 1 / 3, "gaussian": 1.0, "laplace": 2.0}[self.factors]
        return self.rank * variance**2

    def require_model(self, causal: bool, positions: str) -> None:
        """Several sizes are for encoders with a free embedding for every place."""
        if positions == "row+column" or causal:
            what = "a decoder" if causal else f"model.positions {positions}"
            require(len(self.sizes) == 1, "task.sizes", f"one size with {what}", self.sizes)

    def require_used(self) -> None:
        """What the kind of mask does not ask for keeps its default."""
        for name, masks in (
            ("mask_probability", ("random", "coherence")),
            ("coherence_fraction", ("coherence",)),
            ("kept", ("fixed",)),
        ):
            given, usual = getattr(self, name), getattr(MatrixTask, name)
            require(self.mask in masks or given == usual, f"task.{name}", f"{usual} with mask {self.mask}", given)

    def objective(self, causal: bool) -> Objective:
        """The next token for a decoder, regression for who reads all at once."""
        from abruptlab.task.objectives import NextToken, Regression

        return NextToken(self) if causal else Regression(self)

    def stream(self, batch: int, seed: int, start: int = 0, device: "torch.device | str" = "cpu") -> "Iterator[Batch]":
        """Raises `VocabularyError` if a value has no token (Gaussian and Laplace factors are unbounded)."""
        from abruptlab.task.matrices import stream

        return stream(self, batch, seed, start, device)

    def of_one_size(self) -> "MatrixTask":
        """With the matrices of the largest size alone."""
        return replace(self, sizes=(max(self.sizes, key=math.prod),))

    def contrast(self, batch: Any) -> "Batch":
        """The matrices −X with the masks of X."""
        from abruptlab.task.matrices import negated

        return negated(batch, self)

    @property
    def summary(self) -> str:
        """Sizes and rank."""
        return f"{', '.join(f'{m}×{n}' for m, n in self.sizes)} matrices of rank {self.rank}"

    def text(self, batch: "Batch", index: int) -> str:
        """The matrix row by row, hidden entries in brackets."""
        rows, columns = batch.size
        values, observed = batch.values[index].tolist(), batch.observed[index].tolist()
        entries = [
            f"{value:.{self.decimals}f}" if seen else f"[{value:.{self.decimals}f}]"
            for value, seen in zip(values, observed, strict=True)
        ]
        width = max(map(len, entries))
        lines = [entries[row * columns : (row + 1) * columns] for row in range(rows)]
        return "\n".join(" ".join(entry.rjust(width) for entry in line) for line in lines)
