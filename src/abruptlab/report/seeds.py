"""The other seeds of a run, where they were trained beside it."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from abruptlab.errors import AbruptlabError
from abruptlab.experiments.losses import smooth
from abruptlab.run.run import Run


def other_seeds(run: Run) -> list[Run]:
    """The finished runs in the folders beside the run's that differ from it in the seed (and the name) alone."""
    others, rows = [], len(run.metrics["step"])
    for config in sorted(run.folder.resolve().parent.glob("*/config.toml")):
        try:
            other = Run(config.parent)
            alike = replace(other.config, seed=run.config.seed, name=run.config.name) == run.config
            if alike and other.config.seed != run.config.seed and other.finished and len(other.metrics["step"]) >= rows:
                others.append(other)
        except AbruptlabError:
            continue  # what lies beside a run need not be one, or whole
    return others


def band(
    run: Run, others: list[Run], rows: Int[np.ndarray, " point"]
) -> tuple[Float[np.ndarray, " point"], Float[np.ndarray, " point"]]:
    """The least and the greatest loss that drops, of the run and the others, as running means at some rows of the
    metrics."""
    name = run.objective.falling
    curves = np.stack([smooth(each.metrics[name])[rows] for each in (run, *others)])
    return curves.min(0), curves.max(0)
