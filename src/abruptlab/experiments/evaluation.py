"""What every experiment starts from: held-out matrices, a model's predictions, and means with error bars."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from abruptlab.experiments.result import Outlined
from abruptlab.model import sites
from abruptlab.model.build import Model
from abruptlab.model.encoder import Encoder
from abruptlab.system.devices import choose_device
from abruptlab.system.memory import require_memory
from abruptlab.task.examples import Examples
from abruptlab.task.held_out import (
    HELD_OUT as HELD_OUT,  # for what is drawn beside them
    held_out_of as held_out_examples_of,
)
from abruptlab.task.matrices import Batch
from abruptlab.task.matrix import MatrixTask
from abruptlab.training.needs import matrices_need

if TYPE_CHECKING:
    from abruptlab.baselines.completer import Completer
    from abruptlab.run.run import Run

PART = 256  # matrices in one forward pass

Result = TypeVar("Result")


@dataclass(frozen=True)
class Estimate(Outlined):
    """Means and their standard errors over matrices."""

    mean: Float[np.ndarray, "*condition"]
    error: Float[np.ndarray, "*condition"]


@dataclass(frozen=True)
class Losses(Outlined):
    """Mean squared errors, for one or many conditions."""

    loss: Estimate  # L, over all entries
    loss_observed: Estimate  # L_obs
    loss_masked: Estimate  # L_mask


def load(run: "Run", step: int | str) -> Encoder:
    """`Run.load_encoder`, on the fastest device."""
    return run.load_encoder(step).to(choose_device())


def held_out(run: "Run", matrices: int, seed: int = 0, **changes: Any) -> Batch:
    """Matrices of the run's task that no training ever draws, on the CPU; `changes` to the task's fields are allowed.

    They depend on the task and `seed` alone; of several sizes, the largest is taken. Raises `ConfigError` for changes
    that make no sense, or more matrices than the memory holds.
    """
    task = run.config.matrices.of_one_size()
    return held_out_of(replace(task, **changes), matrices, seed)


def held_out_examples(run: "Run", count: int, seed: int = 0) -> Examples:
    """The same for a run of any task."""
    return held_out_examples_of(run.config.task, count, seed)


def held_out_of(task: MatrixTask, matrices: int, seed: int = 0) -> Batch:
    """The same for matrices that need not be a run's."""
    require_memory(matrices_need(task.of_one_size(), matrices), f"{matrices:,} matrices")
    return cast(Batch, held_out_examples_of(task, matrices, seed))


@torch.no_grad()
def predict(
    model: Encoder,
    tokens: Int[Tensor, "matrix pos"],
    replacements: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
) -> Float[Tensor, "matrix pos"]:
    """The predicted value of every token, on the CPU, with the activations at some sites replaced (`sites.replace`).

    The forward passes take `PART` matrices each, which a replacement has to work for.
    """
    with sites.replace(model, replacements or {}):
        return torch.cat([model(part).cpu() for _, part in parts(model, tokens)])


def recorded(
    model: Model, tokens: Int[Tensor, "matrix pos"], names: Sequence[str]
) -> Iterator[tuple[slice, dict[str, Tensor]]]:
    """The activations at the named sites, for `PART` matrices at a time: which matrices, and name → activation on the
    model's device."""
    for where, part in parts(model, tokens):
        with torch.no_grad(), sites.record(model, names) as activations:
            model(part)
        yield where, activations


def parts(model: Model, tokens: Int[Tensor, "matrix pos"]) -> Iterator[tuple[slice, Int[Tensor, "part pos"]]]:
    """The tokens in parts of `PART` matrices, on the model's device, each with its place among all."""
    device = model.token_embedding.weight.device
    for start in range(0, len(tokens), PART):
        where = slice(start, start + PART)
        yield where, tokens[where].to(device)


def incomplete(batch: Batch) -> Float[np.ndarray, "matrix m n"]:
    """The matrices as a `Completer` takes them: NaN where an entry is hidden."""
    return batch.values.double().where(batch.observed, torch.nan).unflatten(1, batch.size).numpy()


def estimated(method: "Completer", batch: Batch) -> Float[Tensor, "matrix m n"]:
    """A method's values for all entries, by its `solve`: these matrices are in the task's own units, and in some a row
    is blank."""
    known = torch.where(batch.observed, batch.values.double(), 0.0)
    return method.solve(known.unflatten(1, batch.size), batch.observed.unflatten(1, batch.size))


def completed(method: "Completer", batch: Batch) -> Float[Tensor, "matrix pos"]:
    """The matrices with their hidden entries filled in by a method; the observed ones are untouched."""
    return torch.where(batch.observed, batch.values.double(), estimated(method, batch).flatten(1)).float()


def pooled(values: Float[Tensor, "*condition matrix pos"], chosen: Bool[Tensor, "matrix pos"]) -> Estimate:
    """The mean of `values` over the chosen places of all matrices.

    Its standard error takes the matrices as independent, not the places of one matrix (a ratio of two means over
    matrices). NaN where no place is chosen, and an error of NaN for a single matrix.
    """
    values = values.double()
    totals, counts = torch.where(chosen, values, 0.0).sum(-1), chosen.double().sum(-1)
    mean = totals.sum(-1) / counts.sum()
    spread = (totals - mean.unsqueeze(-1) * counts).square().sum(-1).sqrt() / counts.sum()
    matrices = len(counts)
    correction = math.sqrt(matrices / (matrices - 1)) if matrices > 1 else math.nan
    return Estimate(mean.cpu().numpy(), (spread * correction).cpu().numpy())


def over_matrices(values: Float[Tensor, "*condition matrix"]) -> Estimate:
    """The mean of a number that each matrix has."""
    return pooled(values.unsqueeze(-1), torch.ones(values.shape[-1], 1, dtype=torch.bool))


def losses(predictions: Float[Tensor, "*condition matrix pos"], batch: Batch) -> Losses:
    """L, L_obs and L_mask of predictions, with standard errors over matrices."""
    squared = (predictions - batch.values).square()
    everywhere = torch.ones_like(batch.observed)
    return Losses(pooled(squared, everywhere), pooled(squared, batch.observed), pooled(squared, ~batch.observed))


def differences(
    predictions: Float[Tensor, "*condition matrix pos"], reference: Float[Tensor, "matrix pos"], batch: Batch
) -> Losses:
    """How far L, L_obs and L_mask of predictions lie above those of `reference`; the errors are those of pairs."""
    excess = (predictions - batch.values).square() - (reference - batch.values).square()
    everywhere = torch.ones_like(batch.observed)
    return Losses(pooled(excess, everywhere), pooled(excess, batch.observed), pooled(excess, ~batch.observed))


def stack(results: Sequence[Result]) -> Result:
    """Several results of one dataclass of arrays as one, with a new first axis on every array."""

    def stacked(values: Sequence[Any]) -> Any:
        return stack(values) if is_dataclass(values[0]) else np.stack(values)

    first: Any = results[0]
    return type(first)(**{at.name: stacked([getattr(result, at.name) for result in results]) for at in fields(first)})


def unstack(result: Result) -> list[Result]:
    """The results that `stack` put together."""
    parts = []
    for at in fields(result):  # pyright: ignore[reportArgumentType]
        value = getattr(result, at.name)
        parts.append(unstack(value) if is_dataclass(value) else [np.asarray(part) for part in value])
    return [type(result)(*columns) for columns in zip(*parts, strict=True)]
