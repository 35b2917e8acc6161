"""What the experiments look at: examples that no training draws, and what other methods make of them."""

from dataclasses import fields, replace
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from abruptlab.arguments import checked, choice, require_count
from abruptlab.baselines.completer import Completer
from abruptlab.errors import ConfigError, RunError
from abruptlab.run.run import Run
from abruptlab.system.memory import require_memory
from abruptlab.task.examples import Examples
from abruptlab.task.held_out import held_out_of as held_out_examples_of
from abruptlab.task.matrices import ENTRY, Batch
from abruptlab.task.matrix import MatrixTask
from abruptlab.task.vocabulary import MASK, Vocabulary


@checked
def held_out(run: Run, matrices: int, seed: int = 0, **changes: Any) -> Batch:
    """Matrices of the run's task that no training ever draws, on the CPU; `changes` to the task's fields are allowed.

    They depend on the task, `matrices` and `seed` alone; of several sizes, the largest is taken. Raises `ConfigError`
    for changes that make no sense, less than one matrix, or more than the memory holds.
    """
    task = run.config.matrices.of_one_size()
    known = [field.name for field in fields(task)]
    for name in changes.keys() - known:
        raise ConfigError(f"no field {name!r} of a task; {choice(name, known)}")
    return held_out_of(replace(task, **changes), matrices, seed)


def require_hidden(run: Run) -> None:
    """Raises `RunError` if the run's task hides no entry, so that there is nothing to complete."""
    task = run.config.matrices
    if task.mask != "fixed" and task.mask_probability == 0:
        raise RunError(f"{run.folder}: its task hides no entry (task.mask_probability 0), so nothing is completed")


@checked
def held_out_examples(run: Run, count: int, seed: int = 0) -> Examples:
    """The same for a run of any task."""
    task = run.config.task
    if isinstance(task, MatrixTask):
        return held_out_of(task, count, seed)
    _require_room(run.objective.places, count, "examples")
    return held_out_examples_of(task, count, seed)


@checked
def held_out_of(task: MatrixTask, matrices: int, seed: int = 0) -> Batch:
    """The same for matrices that need not be a run's."""
    _require_room(task.of_one_size().positions, matrices, "matrices")
    return cast(Batch, held_out_examples_of(task, matrices, seed))


def _require_room(places: int, count: int, what: str) -> None:
    require_count(count, what)
    require_memory(count * places * ENTRY, f"{count:,} {what}")


def expressible(values: Float[Tensor, "matrix pos"], masks: Batch, vocabulary: Vocabulary) -> tuple[Batch, float]:
    """Other matrices with the masks of a batch, rounded, without those that have a value beyond the vocabulary; and the
    share of those that stay."""
    fits = (values.abs() <= vocabulary.limit).all(1)
    ids, observed = vocabulary.encode(values[fits]), masks.observed[fits]
    batch = Batch(torch.where(observed, ids, MASK), vocabulary.decode(ids), observed, masks.size)
    return batch, fits.double().mean().item()


def incomplete(batch: Batch) -> Float[np.ndarray, "matrix m n"]:
    """The matrices as a `Completer` takes them: NaN where an entry is hidden."""
    return batch.values.double().where(batch.observed, torch.nan).unflatten(1, batch.size).numpy()


def estimated(method: Completer, batch: Batch) -> Float[Tensor, "matrix m n"]:
    """A method's values for all entries, by its `solve`: these matrices are in the task's own units, and in some a row
    is blank."""
    known = torch.where(batch.observed, batch.values.double(), 0.0)
    return method.solve(known.unflatten(1, batch.size), batch.observed.unflatten(1, batch.size))


def completed(method: Completer, batch: Batch) -> Float[Tensor, "matrix pos"]:
    """The matrices with their hidden entries filled in by a method; the observed ones are untouched."""
    return torch.where(batch.observed, batch.values.double(), estimated(method, batch).flatten(1)).float()
