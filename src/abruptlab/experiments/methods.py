"""Every method that completes matrices on the same ones: their errors, and how close their predictions are.

The floor of the errors is the posterior mean, which no method can beat on average. How close BERT's predictions at
hidden entries are to those of a method, over the training, is the direct test of what it computes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from abruptlab.arguments import checked
from abruptlab.baselines.bayes import PosteriorMean
from abruptlab.baselines.completer import Completer
from abruptlab.baselines.factorisation import Factorisation
from abruptlab.baselines.nuclear import NuclearNorm
from abruptlab.baselines.simple import PredictZero, RowColumnMeans
from abruptlab.errors import ConfigError
from abruptlab.experiments.estimate import Estimate, Losses, differences, losses, over_matrices, pooled
from abruptlab.experiments.forward import load, predict
from abruptlab.experiments.held_out import completed, held_out, held_out_of, require_hidden
from abruptlab.experiments.losses import LossCurves, measure_loss_curves
from abruptlab.experiments.result import Outlined, stack
from abruptlab.run.run import Run
from abruptlab.system.tracking import track
from abruptlab.task.matrix import MatrixTask

ZERO, MEANS, NUCLEAR, FACTORISATION, POSTERIOR = NAMES = (
    "predict zero",
    "row and column means",
    "nuclear norm",
    "factorisation",
    "posterior mean",
)
PARTICLES = 128  # more would serve one matrix; as many matrices as possible serve the mean over them


@dataclass(frozen=True)
class Methods(Outlined):
    """The methods `names`, and BERT at every checkpoint, on the same held-out matrices.

    Distances are mean squared ones between two methods' predictions at hidden entries.
    """

    names: tuple[str, ...]  # as NAMES
    curves: LossCurves
    step: Int[np.ndarray, " step"]
    method: Losses  # [method]
    method_excess: Losses  # [method], over the posterior mean; the errors are those of pairs
    bert: Losses  # [step]
    bert_excess: Losses  # [step], likewise
    between: Estimate  # [method, method], the methods' distances to each other
    distance: Estimate  # [step, method], BERT's distances to them
    nearest: Estimate  # [step, method], share of the matrices in which BERT is nearest to the method


@checked
def measure_methods(run: Run, matrices: int = 512, seed: int = 0) -> Methods:
    """All methods, and BERT at every checkpoint, on `matrices` held-out matrices of the run's task.

    The methods err at hidden entries alone, as they give the observed ones back; BERT's L has its error at observed
    entries too. Raises `RunError` if the run has made no step yet or hides nothing, `CheckpointError` if it has no
    checkpoint, and `ConfigError` as `classical` does.
    """
    curves = measure_loss_curves(run)
    require_hidden(run)
    batch = held_out(run, matrices, seed)
    steps = run.steps or [run.resolve("final")]
    methods = _classical_predictions(run.config.matrices, matrices, seed)
    bert = torch.stack([predict(load(run, step), batch.tokens) for step in track(steps, "checkpoints")])
    floor, hidden = methods[NAMES.index(POSTERIOR)], ~batch.observed

    def distances(predictions: Iterable[Tensor]) -> Estimate:
        return stack([pooled((methods - other).square(), hidden) for other in predictions])

    return Methods(
        names=NAMES,
        curves=curves,
        step=np.array(steps),
        method=losses(methods, batch),
        method_excess=differences(methods, floor, batch),
        bert=losses(bert, batch),
        bert_excess=differences(bert, floor, batch),
        between=distances(methods),
        distance=distances(bert),
        nearest=stack([nearest(methods, other, hidden) for other in bert]),
    )


@lru_cache(maxsize=4)
def _classical_predictions(task: MatrixTask, matrices: int, seed: int) -> Float[Tensor, "method matrix pos"]:
    """Of every method on `held_out_of` a task: no model takes part in them, and they take most of the time."""
    batch = held_out_of(task, matrices, seed)
    slowest_first = track([*classical(task).values()][::-1], "methods")  # or all but one would be done in no time
    return torch.stack([completed(method, batch) for method in slowest_first][::-1])


def nearest(
    methods: Float[Tensor, "method matrix pos"], bert: Float[Tensor, "matrix pos"], hidden: Bool[Tensor, "matrix pos"]
) -> Estimate:
    """For each method, the share of the matrices with hidden entries in which no other one is nearer to BERT."""
    asked = hidden.any(1)
    distance = ((methods - bert).square() * hidden).sum(-1)[:, asked]
    return over_matrices((distance.argmin(0) == torch.arange(len(methods)).unsqueeze(1)).double())


def classical(task: MatrixTask) -> dict[str, Completer]:
    """The methods by name, as NAMES; factorisation is told the task's rank, the posterior mean its whole prior.

    Raises `ConfigError` for a mask that looks at the matrix: what it hides says something of the entries, which the
    posterior mean does not know, so that it is no floor.
    """
    if task.mask == "coherence" and task.coherence_fraction > 0:
        raise ConfigError(
            f"task.mask: expected one that does not look at the matrix, got {task.mask}: under it the posterior mean "
            "is no floor"
        )
    return {
        ZERO: PredictZero(),
        MEANS: RowColumnMeans(),
        NUCLEAR: NuclearNorm(),
        FACTORISATION: Factorisation(task.rank),
        POSTERIOR: PosteriorMean(task.rank, task.factors, task.decimals, PARTICLES),
    }
