"""Variants side by side (figures 13 to 18 and beyond): the runs of one family of a sweep, over their seeds."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int, Shaped

from abruptlab.arguments import checked
from abruptlab.errors import RunError
from abruptlab.experiments.family import ByLabel
from abruptlab.experiments.level import loss_of_zero, trivial_level
from abruptlab.experiments.losses import final_value, first_step, smooth
from abruptlab.experiments.result import Outlined
from abruptlab.experiments.scores import Shown
from abruptlab.run.drop import Drop, find_drop
from abruptlab.run.run import Run
from abruptlab.sweep.file import Sweep
from abruptlab.task.matrix import MatrixTask

POINTS = 400  # of a curve: two for each window of the running mean

LOSSES = ("step", "loss", "other", "falling")  # of a series, with the steps they are of


@dataclass(frozen=True)
class OverSeeds(Outlined):
    """A number of every run, and its distribution over the runs of each label.

    The interval reaches from the smallest to the largest of n runs. Whatever the distribution over seeds, it holds
    its median with probability 1 − 2^(1 − n): 75 % for three seeds, 94 % for five.
    """

    each: Float[np.ndarray, "label run"]  # inf: what it counts the steps to did not come; NaN: no such run
    median: Float[np.ndarray, " label"]  # inf: it did not come in half of the runs; NaN: no run
    low: Float[np.ndarray, " label"]
    high: Float[np.ndarray, " label"]


@dataclass(frozen=True)
class Series(Outlined):
    """The losses of one run, or of its steps of one size, and what they are compared with."""

    seed: int
    shown: Shown  # which losses the last two are
    step: Int[np.ndarray, " step"]
    loss: Float[np.ndarray, " step"]
    other: Float[np.ndarray, " step"]  # of matrices L_obs
    falling: Float[np.ndarray, " step"]  # L_mask
    trivial: str  # what the trivial solution does; "" if nobody knows its level
    level: float  # of what falls, for the trivial solution: L_mask of predicting zero; 1 if nobody knows it
    loss_of_zero: float | None = None  # of matrices: L of copying what is observed and predicting zero elsewhere

    @cached_property
    def drop(self) -> Drop | None:
        """Its drop, if there is one."""
        return find_drop(self.step, self.falling)


@dataclass(frozen=True)
class Variants(Outlined):
    """The finished runs of a family: a row a label, a column a run; NaN where a label has fewer."""

    labels: Shaped[np.ndarray, " label"]
    planned: Int[np.ndarray, " label"]  # runs that the sweep has, finished or not
    seed: Float[np.ndarray, "label run"]
    shown: Shown  # what falls, L_mask, and the other part of the loss, L_obs
    trivial: str  # what the trivial solution does; "" if nobody knows its level
    level: Float[np.ndarray, " label"]  # of what falls, for it; 1 if nobody knows it
    loss_of_zero: Float[np.ndarray, " label"]  # L of copying and predicting zero; NaN without a mask probability
    step: Float[np.ndarray, "label point"]
    loss: Float[np.ndarray, "label run point"]  # running means
    falling: Float[np.ndarray, "label run point"]
    onset: OverSeeds  # step; inf without a drop
    end: OverSeeds  # step; inf without a drop, or while it still falls
    width: OverSeeds  # steps from onset to end; inf without them
    depth: OverSeeds  # how many times lower the final level of the drop is than its plateau; 1 without a drop
    halved: OverSeeds  # first step with what falls (running mean) below half the level; needs no plateau; inf if never
    final_loss: OverSeeds  # medians over the last steps, as for the claims of one run
    final_other: OverSeeds
    final_falling: OverSeeds
    final_over_level: OverSeeds  # the latter over the level, so that tasks can be compared

    @property
    def finished(self) -> Int[np.ndarray, " label"]:
        """The number of finished runs."""
        return np.isfinite(self.seed).sum(1)

    @property
    def dropped(self) -> Int[np.ndarray, " label"]:
        """The number of finished runs with a drop."""
        return np.isfinite(self.onset.each).sum(1)


@checked
def measure_variants(sweep: Sweep, family: str = "") -> Variants:
    """The losses and drops of the finished runs of a family of variants, over their seeds.

    Raises `ConfigError` for a family that the sweep does not have and `RunError` if none of its runs is finished.
    """
    by_label = {label: [series(run) for run in runs] for label, runs in sweep.finished(family).items()}
    return side_by_side(by_label, sweep.planned(family))


def measure_families(sweep: Sweep) -> dict[str, Variants]:
    """`measure_variants` of every family that has a finished run. Raises `RunError` if none has."""
    families = {
        family: measure_variants(sweep, family) for family in sweep.families if any(sweep.runs(family).values())
    }
    if not families:
        raise RunError(f"{sweep.folder}: no run is finished")
    return families


def series(run: Run) -> Series:
    """The losses of a run."""
    shown, level, task = Shown.of(run.objective), trivial_level(run), run.config.task
    known = math.isfinite(level)
    return Series(
        run.config.seed,
        shown,
        run.metrics["step"],
        *(run.metrics[name] for name in ("loss", shown.names[1], shown.names[0])),
        trivial=run.objective.trivial if known else "",
        level=level if known else 1.0,
        loss_of_zero=loss_of_zero(run) if isinstance(task, MatrixTask) and run.objective.kind == "encoder" else None,
    )


def side_by_side(by_label: Mapping[str, Sequence[Series]], planned: Mapping[str, int]) -> Variants:
    """Series by label, and the number planned for each, as one table. At least one series has to be there.

    Raises `RunError` for runs of several kinds, whose losses have no common name.
    """
    first, *others = [each for of_label in by_label.values() for each in of_label]
    if any(each.shown != first.shown for each in others):
        kinds = ", ".join(sorted({each.shown.symbols[0] for each in (first, *others)}))
        raise RunError(
            f"expected the runs of a family to have a loss in common, got {kinds}: give each kind a family of its own"
        )
    runs = ByLabel(by_label, planned)

    def of_runs(number: Callable[[Series], float]) -> OverSeeds:
        return over_seeds(runs.of_runs(number))

    def of_drops(number: Callable[[Drop], float | None], without: float) -> OverSeeds:
        def value(each: Series) -> float:
            known = None if each.drop is None else number(each.drop)
            return without if known is None else float(known)

        return of_runs(value)

    step = runs.steps(lambda each: each.step[-1], POINTS)
    return Variants(
        labels=runs.labels,
        planned=runs.planned,
        seed=runs.of_runs(lambda each: each.seed),
        shown=first.shown,
        trivial=first.trivial,
        level=runs.of_labels(lambda each: each.level),
        loss_of_zero=runs.of_labels(lambda each: each.loss_of_zero),
        step=step,
        loss=runs.curves(step, lambda each: (each.step, smooth(each.loss))),
        falling=runs.curves(step, lambda each: (each.step, smooth(each.falling))),
        onset=of_drops(lambda drop: drop.onset, np.inf),
        end=of_drops(lambda drop: drop.end, np.inf),
        width=of_drops(lambda drop: drop.width, np.inf),
        depth=of_drops(lambda drop: drop.depth, 1.0),
        halved=of_runs(_halved),
        final_loss=of_runs(lambda each: final_value(each.loss)),
        final_other=of_runs(lambda each: final_value(each.other)),
        final_falling=of_runs(lambda each: final_value(each.falling)),
        final_over_level=of_runs(lambda each: final_value(each.falling) / each.level),
    )


def over_seeds(each: Float[np.ndarray, "label run"]) -> OverSeeds:
    """The distribution of a number over the runs of each label; NaN where there is no run."""
    with warnings.catch_warnings(action="ignore"):  # of a label without a run
        return OverSeeds(each, np.nanmedian(each, 1), np.nanmin(each, 1), np.nanmax(each, 1))


def _halved(each: Series) -> float:
    if not each.trivial:
        return math.nan  # nobody knows what would be half
    return first_step(each.step, smooth(each.falling) < each.level / 2)
