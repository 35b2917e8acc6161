"""A trained model as a method that completes matrices, beside the classical ones."""

import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad

from abruptlab.baselines.completer import Bounded, typical_size
from abruptlab.baselines.factorisation import Factorisation
from abruptlab.errors import DataError
from abruptlab.experiments.forward import load, predict
from abruptlab.run.pretrained import find_run
from abruptlab.run.run import Run
from abruptlab.task.matrix import MatrixTask
from abruptlab.task.vocabulary import MASK, Vocabulary

RESTARTS = 8  # of the factorisation that looks at the rank: enough for it to miss no fit in 2,000 matrices of the task
OTHERWISE = "or use a method for any matrix, such as nuclear norm (--method nuclear, baselines.nuclear.NuclearNorm)"


@dataclass(eq=False, repr=False)
class TransformerImputer(Bounded):
    """Completes matrices by a trained run's last checkpoint: what the experiments look into, as a tool.

    `run` is the name of a run of the package, a run folder or a `Run`. Nothing is trained by `fit`. The model sees
    observed entries as its tokens, so rounded to the task's decimals (for `laptop` to 0.01); `transform` gives them
    back as they came, `estimate` as the model says.

    A model is for the matrices of its task (`run.config.matrices`; `laptop`: 5×5 of rank 1, entries from −1 to 1):

    - other sizes raise `DataError`, unless `tiles`: then a matrix is cut, from its upper left corner, into tiles of
      the task's size, the last ones filled up with missing entries. Each is completed by itself, from its own entries.
    - larger entries raise `DataError`, unless `rescale`: then each matrix, or tile, is divided by a number that makes
      it as large as the task's, and multiplied again afterwards. (A low-rank completion does not depend on the scale;
      a model does.)
    - matrices that no matrix of the task's rank comes near to, and tiles with a row or column without an observed
      entry, are completed with a `UserWarning`.

    `min_value` and the parameters after it are `Completer`'s.
    """

    run: Run | Path | str = "laptop"
    tiles: bool = False
    rescale: bool = False

    def solve(
        self, values: Float[Tensor, "batch m n"], observed: Bool[Tensor, "batch m n"]
    ) -> Float[Tensor, "batch m n"]:
        """Raises `DataError` for matrices that are not the model's, and `RunError`, `CheckpointError` without one."""
        run = self.run if isinstance(self.run, Run) else find_run(self.run)
        task, shape, asked = run.config.matrices, values.shape, torch.ones_like(observed)
        if self.tiles:
            size = max(task.sizes, key=math.prod)
            values, observed, asked = (cut(each, size) for each in (values, observed, asked))
        elif shape[1:] not in task.sizes:
            known = " or ".join(f"{m}×{n}" for m, n in task.sizes)
            raise DataError(
                f"expected a matrix of {known}, the size that {run.config.name} was trained for, got "
                f"{shape[1]}×{shape[2]}; cut it into tiles (in Python: TransformerImputer(tiles=True)), {OTHERWISE}"
            )
        unit = _unit(values, observed, task) if self.rescale else values.new_ones(len(values), 1, 1)
        values = values / unit
        _check_range(values, task, run.config.name)
        vocabulary = Vocabulary.of(task)
        ids = vocabulary.encode(values)
        _look_at_rank(vocabulary.decode(ids), observed, task)
        if self.tiles:
            _look_for_blanks(observed, asked)
        tokens = torch.where(observed, ids, MASK).flatten(1)
        estimates = unit * predict(load(run, "final"), tokens).double().view(values.shape)
        return paste(estimates, shape) if self.tiles else estimates


def cut(matrices: Tensor, size: tuple[int, int]) -> Tensor:
    """[batch, m, n] → [tile, *size]: each matrix row by row of tiles, filled up with zeros (False) at the far ends."""
    rows, columns = size
    filled = pad(matrices, (0, -matrices.shape[2] % columns, 0, -matrices.shape[1] % rows))
    return filled.unflatten(2, (-1, columns)).unflatten(1, (-1, rows)).transpose(2, 3).flatten(0, 2)


def paste(tiles: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The matrices [batch, m, n] that `cut` was given."""
    batch, m, n = shape
    rows, columns = tiles.shape[1:]
    grid = tiles.unflatten(0, (batch, math.ceil(m / rows), math.ceil(n / columns)))
    return grid.transpose(2, 3).flatten(3, 4).flatten(1, 2)[:, :m, :n]


def _unit(
    values: Float[Tensor, "batch m n"], observed: Bool[Tensor, "batch m n"], task: MatrixTask
) -> Float[Tensor, "batch 1 1"]:
    """What to divide each matrix by: its observed entries then have the task's mean square, or are smaller if the
    largest would otherwise lie outside of the task's range. 1 where all are zero."""
    typical = typical_size(values, observed) / math.sqrt(task.copying_level)
    return torch.where(typical > 0, typical.maximum(values.abs().amax((1, 2), keepdim=True) / task.reach), 1.0)


def _check_range(values: Float[Tensor, "batch m n"], task: MatrixTask, name: str) -> None:
    largest = values.abs().max().item()
    if round(largest, task.decimals) > task.reach:
        raise DataError(
            f"expected entries from −{task.reach:g} to {task.reach:g}, the range that {name} was trained for, got one "
            f"of size {largest:.6g}; divide the matrix by {largest / task.reach:.3g} or more first "
            f"(in Python, TransformerImputer(rescale=True) does it), {OTHERWISE}"
        )


def _look_at_rank(values: Float[Tensor, "batch m n"], observed: Bool[Tensor, "batch m n"], task: MatrixTask) -> None:
    """Warn of matrices that are not the task's: rounding leaves a residual of a third of a step, other ranks far more
    than one. Of 2,000 matrices of 5×5 and rank 1 none, of rank 2 all but 0.1 %, are above one step."""
    seen = torch.where(observed, values.double(), 0.0)
    misfit = (Factorisation(task.rank, restarts=RESTARTS).solve(seen, observed) - seen) * observed
    residual, size = typical_size(misfit, observed).flatten(), typical_size(seen, observed).flatten()
    strange = int((residual > 10.0**-task.decimals).sum())
    if strange:
        worst = residual.argmax()
        which = "the matrix is" if len(values) == 1 else f"{strange} of {len(values)} matrices (or tiles) are"
        warnings.warn(
            f"{which} not of rank {task.rank}, for which the model was trained (the nearest such "
            f"matrix misses the observed entries by {residual[worst] / size[worst]:.0%}): do not trust the completion, "
            f"{OTHERWISE}",
            stacklevel=2,
        )


def _look_for_blanks(observed: Bool[Tensor, "batch m n"], asked: Bool[Tensor, "batch m n"]) -> None:
    """Warn of rows and columns that nothing in their tile tells of; those that only fill it up are not `asked` for."""
    blank = sum((asked.any(side) & ~observed.any(side)).any(1) for side in (1, 2))
    blind = int(torch.as_tensor(blank).count_nonzero())
    if blind:
        warnings.warn(
            f"{blind} of {len(observed)} tiles are without an observed entry in some row or column: what is filled in "
            "there is a guess",
            stacklevel=2,
        )
