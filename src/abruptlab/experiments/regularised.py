"""Regularised nuclear-norm minimisation over its penalty (a table of the appendix)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from abruptlab.arguments import checked
from abruptlab.baselines.nuclear import RegularisedNuclearNorm
from abruptlab.experiments.estimate import Losses, losses
from abruptlab.experiments.forward import load, predict
from abruptlab.experiments.held_out import estimated, held_out
from abruptlab.experiments.result import Outlined, stack
from abruptlab.run.run import Run

PENALTIES = (0.0005, 0.001, 0.0015, 0.00175, 0.002, 0.005, 0.01)  # the paper's


@dataclass(frozen=True)
class Regularised(Outlined):
    """The minimisers of (1/|Ω|)·‖P_Ω(Z − X)‖² + λ‖Z‖_* for several λ, and BERT, on the same matrices."""

    step: int
    penalty: Float[np.ndarray, " penalty"]  # λ
    method: Losses  # [penalty]; observed entries as the minimiser has them
    bert: Losses


@checked
def measure_regularised(
    run: Run,
    step: int | str = "final",
    penalties: Sequence[float] = PENALTIES,
    matrices: int = 512,
    seed: int = 0,
) -> Regularised:
    """L, L_obs and L_mask of the minimiser for each penalty, and of BERT.

    Raises `CheckpointError` for a step without a checkpoint and `ConfigError` for a negative penalty.
    """
    resolved, batch = run.resolve(step), held_out(run, matrices, seed)
    estimates = [estimated(RegularisedNuclearNorm(penalty), batch).flatten(1) for penalty in penalties]
    return Regularised(
        resolved,
        np.array(penalties),
        stack([losses(estimate, batch) for estimate in estimates]),
        losses(predict(load(run, resolved), batch.tokens), batch),
    )
