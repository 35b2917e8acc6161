"""Low-rank matrices with hidden entries, drawn by counter."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from abruptlab.arguments import checked, require, require_count, shown
from abruptlab.system.devices import choose_device
from abruptlab.system.memory import require_memory
from abruptlab.task.counter import BLOCK, by_blocks, generator
from abruptlab.task.examples import Examples
from abruptlab.task.matrix import MatrixTask
from abruptlab.task.vocabulary import MASK, Vocabulary

ENTRY = 8 + 4 + 1  # bytes of an entry of a batch: token, value, observed


@dataclass(frozen=True)
class Batch(Examples):
    """Matrices flattened row by row: what the model sees and what it is asked for."""

    tokens: Int[Tensor, "batch pos"]  # token ids, MASK where hidden
    values: Float[Tensor, "batch pos"]  # the rounded matrices, the target
    observed: Bool[Tensor, "batch pos"]  # False where hidden
    size: tuple[int, int]  # rows, columns

    def __post_init__(self) -> None:
        """Raises `ConfigError` for parts that are not of the same matrices."""
        shape = [len(self.tokens), math.prod(self.size)]
        for name in ("tokens", "values", "observed"):
            part = getattr(self, name)
            require([*part.shape] == shape, name, f"[matrix, place] {shape}, as size is {self.size}", shown(part))


def negated(batch: Batch, task: MatrixTask) -> Batch:
    """The matrices −X with the masks of X."""
    ids = Vocabulary.of(task).encode(-batch.values)
    return Batch(torch.where(batch.observed, ids, MASK), -batch.values, batch.observed, batch.size)


def sample_factors(task: MatrixTask, shape: tuple[int, ...], random: torch.Generator) -> Float[Tensor, "*shape"]:
    """Entries of U or V from the task's distribution, all of unit scale (section 2; Gaussian: figure 18)."""
    if task.factors == "gaussian":
        return torch.randn(shape, generator=random, device=random.device)
    uniform = torch.rand(shape, generator=random, device=random.device) * 2 - 1  # [−1, 1)
    if task.factors == "uniform":
        return uniform
    # Laplace by inversion; 1 − |u| lies in (0, 1], with the one point u = −1 kept off the logarithm's pole
    return -uniform.sign() * torch.log1p(-uniform.abs().clamp(max=1 - 2**-24))


def local_coherence(
    u: Float[Tensor, "*batch m rank"], v: Float[Tensor, "*batch n rank"]
) -> Float[Tensor, "*batch m n"]:
    """The local coherence of each entry of U Vᵀ: (m/r)·‖row i of the left singular vectors‖² plus the same for
    column j on the right (the leverage scores of Chen et al., *Completing Any Low-rank Matrix, Provably*)."""
    rows, columns = (
        torch.linalg.qr(factor).Q.square().sum(-1) * (factor.shape[-2] / factor.shape[-1]) for factor in (u, v)
    )
    return rows.unsqueeze(-1) + columns.unsqueeze(-2)


def _ranks(scores: Float[Tensor, "*batch places"]) -> Int[Tensor, "*batch places"]:
    """The rank of each place, 0 for the highest score."""
    return scores.argsort(dim=-1, descending=True).argsort(dim=-1)


def _hidden(
    task: MatrixTask,
    u: Float[Tensor, "*batch m rank"],
    v: Float[Tensor, "*batch n rank"],
    random: torch.Generator,
) -> Bool[Tensor, "*batch m n"]:
    """True where an entry is hidden, by the task's kind of mask."""
    shape = (*u.shape[:-1], v.shape[-2])
    if task.mask == "fixed":
        hidden = torch.zeros(shape[-2:], dtype=torch.bool)
        hidden[list(task.hidden_rows), :] = True
        hidden[:, list(task.hidden_columns)] = True
        for i, j in task.kept:
            hidden[i, j] = False
        return hidden.to(random.device).expand(shape)
    chance = torch.rand(shape, generator=random, device=random.device)
    hidden = chance < task.mask_probability
    if task.mask == "coherence":
        # As many entries as the random mask hides; the first `biased` of them by coherence, the others by chance.
        count = hidden.flatten(-2).sum(-1, keepdim=True)
        biased = (task.coherence_fraction * count).round()
        first = _ranks(local_coherence(u, v).flatten(-2)) < biased
        hidden = (_ranks(chance.flatten(-2) + 2.0 * first) < count).unflatten(-1, shape[-2:])
    return hidden


def stream(
    task: MatrixTask, batch: int, seed: int, start: int = 0, device: torch.device | str = "cpu"
) -> Iterator[Batch]:
    """The batches of `batch` matrices of the steps from `start` on, without end, on `device`.

    Raises `VocabularyError` if a value has no token (Gaussian and Laplace factors are unbounded) and `ConfigError` for
    no number of matrices or no seed.
    """
    require_count(batch, "batch")
    return by_blocks(partial(_sample_block, task, batch, seed, device=device), start)


@checked
def sample(task: MatrixTask, batch: int, seed: int, step: int = 0, device: torch.device | str = "cpu") -> Batch:
    """The batch of one step; `stream` goes through many without drawing them again.

    Raises as `stream` does, and `ConfigError` for more than the memory holds, or a device that is not there.
    """
    require_count(step, "step", 0)
    require_count(batch, "batch")
    require_memory(BLOCK * batch * task.positions * ENTRY, f"{batch:,} matrices of each of {BLOCK} steps")
    return next(stream(task, batch, seed, step, choose_device(str(device))))


def size_choices(task: MatrixTask, seed: int, block: int) -> Int[Tensor, " step"]:
    """Which of the task's sizes each step of a block of `BLOCK` steps has, known without drawing the matrices."""
    return torch.randint(len(task.sizes), (BLOCK,), generator=generator(seed, 1, block))


def _sample_block(task: MatrixTask, batch: int, seed: int, block: int, *, device: torch.device | str) -> list[Batch]:
    vocabulary = Vocabulary.of(task)
    random = generator(seed, 0, block, device=device)
    choice = size_choices(task, seed, block)  # on the host, which must not wait for the device
    batches: list[Batch | None] = [None] * BLOCK
    for index, (m, n) in enumerate(task.sizes):
        chosen = (choice == index).nonzero().flatten().tolist()
        u = sample_factors(task, (len(chosen), batch, m, task.rank), random)
        v = sample_factors(task, (len(chosen), batch, n, task.rank), random)
        ids = vocabulary.encode(u @ v.mT).flatten(-2)
        values = vocabulary.decode(ids)
        observed = ~_hidden(task, u, v, random).flatten(-2)
        tokens = torch.where(observed, ids, MASK)
        for place, step in enumerate(chosen):
            batches[step] = Batch(tokens[place], values[place], observed[place], (m, n))
    return [item for item in batches if item is not None]
