"""Can the drop be announced? A rule that speaks when a measure passes a threshold, fixed on half of the runs of a sweep
and tried on the other half.

The measures are taken at every checkpoint until the onset, on held-out examples: representation collapse, attention
progress, the loss itself, other `signs` and the norms of the gradients. The step is one of them: what it announces, a
calendar does.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from abruptlab.arguments import checked, choice
from abruptlab.errors import RunError
from abruptlab.experiments.progress import measure_progress
from abruptlab.experiments.result import Outlined
from abruptlab.experiments.signs import other_signs
from abruptlab.run.run import Run
from abruptlab.sweep.file import Sweep
from abruptlab.system.tracking import track

WINDOW = 0.5  # of the steps until the onset: who speaks earlier does not know when
BLIND = 0.1  # of the shortest plateau that the rules are fixed on: copying is learnt, and every measure moves
TWICE = 2  # checkpoints in a row beyond the threshold: one could be noise
THRESHOLDS = 200  # tried for a rule
STEP = "the step"

RECENT = 64  # steps before a checkpoint over which the loss is a mean
NORMS = 5  # measurements of a gradient's norm that are one mean


@dataclass(frozen=True)
class Series:
    """What a run's measures were until its onset, and at the first checkpoint from there on."""

    onset: int  # step
    values: dict[str, Float[np.ndarray, " checkpoint"]]  # of each measure

    @property
    def step(self) -> Float[np.ndarray, " checkpoint"]:
        return self.values[STEP]


@dataclass(frozen=True)
class Announcement(Outlined):
    """What every rule does on every run with a drop."""

    measures: Shaped[np.ndarray, " measure"]
    rises: Bool[np.ndarray, " measure"]  # whether the rule waits for the measure to rise, or to fall
    threshold: Float[np.ndarray, " measure"]
    seed: Int[np.ndarray, " run"]
    fixing: Bool[np.ndarray, " run"]  # whether the rules were fixed on it
    onset: Int[np.ndarray, " run"]  # step
    lead: Float[np.ndarray, "measure run"]  # steps from its word to the onset / onset; NaN if it does not speak before
    planned: int  # runs that the sweep has
    without: int  # finished runs without a drop

    @property
    def in_time(self) -> Bool[np.ndarray, "measure run"]:
        """Whether the rule speaks within `WINDOW` of the onset, and before it."""
        return _in_time(self.lead)

    @property
    def of_others(self) -> Float[np.ndarray, "measure run"]:
        """`lead`, had a rule spoken on each run when it spoke on the next one of the same half: a measure that knows
        nothing of its own run."""
        leads = np.full_like(self.lead, np.nan)
        for half in (self.fixing, ~self.fixing):
            word = np.roll(self.onset[half] * (1 - self.lead[:, half]), -1, 1)  # step; NaN if it has not spoken
            lead = 1 - word / self.onset[half]
            leads[:, half] = np.where(lead > 0, lead, np.nan)
        return leads

    @property
    def best(self) -> int:
        """The measure whose rule did best on the runs that it was fixed on, but for the step."""
        return max(
            (index for index, name in enumerate(self.measures) if name != STEP),
            key=lambda index: _score(self.lead[index, self.fixing]),
        )

    def over_calendar(self, lead: Float[np.ndarray, "measure run"], measure: str | None = None) -> float:
        """Of the runs that no rule was fixed on, how many more a measure's rule (None: the best one) announces in time
        than a calendar does, as a share, with these leads for its own. Raises `RunError` for a measure that there is
        none of."""
        if measure is not None and measure not in self.measures:
            raise RunError(f"the sweep has no measure {measure!r}; {choice(measure, self.measures.tolist())}")
        row = self.best if measure is None else list(self.measures).index(measure)
        ours, calendars = _in_time(lead)[row, ~self.fixing], self.in_time[self._calendar, ~self.fixing]
        return int(ours.sum() - calendars.sum()) / len(ours)  # two of ten are 0.2, as 1.0 - 0.8 is not

    @property
    def by_calendar(self) -> float:
        """The share of the runs that no rule was fixed on which a calendar announces in time."""
        return float(self.in_time[self._calendar, ~self.fixing].mean())

    @property
    def _calendar(self) -> int:
        return list(self.measures).index(STEP)


def _in_time(lead: Float[np.ndarray, "measure run"]) -> Bool[np.ndarray, "measure run"]:
    return np.nan_to_num(lead, nan=np.inf) <= WINDOW


@checked
def measure_announcement(sweep: Sweep, matrices: int = 256, seed: int = 0) -> Announcement:
    """The rules of all measures, fixed on every other seed of each variant of a sweep without families.

    Raises `RunError` unless four of its finished runs have a drop, two of each half.
    """
    labelled = [(label, run) for label, runs in sweep.runs("").items() for run in runs]
    finished = sorted(labelled, key=lambda pair: pair[1].config.seed)
    with_drop = [(label, run) for label, run in finished if run.drop is not None]
    runs, fixing = [run for _, run in with_drop], _first_of_two(label for label, _ in with_drop)
    if min(fixing.sum(), (~fixing).sum()) < 2:
        raise RunError(
            f"{sweep.folder}: expected finished runs with a drop, two of each half of a variant's seeds, found "
            f"{fixing.sum()} and {(~fixing).sum()}"
        )
    each = [series_of(run, matrices, seed) for run in track(runs, "runs")]
    onset = np.array([series.onset for series in each])
    blind = BLIND * onset[fixing].min()
    names = [name for name in each[0].values if all(name in series.values for series in each)]
    rules = [fixed_rule([each[index] for index in np.flatnonzero(fixing)], name, blind) for name in names]
    lead = [[lead_of(series, name, *rule, blind) for series in each] for name, rule in zip(names, rules, strict=True)]
    return Announcement(
        measures=np.array(names),
        rises=np.array([rises for rises, _ in rules]),
        threshold=np.array([threshold for _, threshold in rules]),
        seed=np.array([run.config.seed for run in runs]),
        fixing=fixing,
        onset=onset,
        lead=np.array(lead),
        planned=len(sweep.points),
        without=len(finished) - len(runs),
    )


def _first_of_two(labels: Iterable[str]) -> Bool[np.ndarray, " run"]:
    """Whether a run is the first, the third, … with its label: each label has runs in both halves."""
    every = [*labels]
    return np.array([every[:run].count(label) % 2 == 0 for run, label in enumerate(every)], dtype=bool)


def series_of(run: Run, matrices: int = 256, seed: int = 0) -> Series:
    """The measures of a run with a drop. Raises `RunError` if it has none, or no checkpoint, or the metrics cannot be
    read."""
    if run.drop is None:
        raise RunError(f"{run.folder} has no drop that could be announced")
    onset = run.drop.onset
    steps = [step for step in run.steps if 0 < step < onset] + [step for step in run.steps if step >= onset][:1]
    if not steps:
        raise RunError(f"{run.folder} has no checkpoint by which its drop could be announced")
    falling, norms = run.metrics[run.objective.falling], run.norms
    progress = measure_progress(run, steps, matrices, seed)
    others = [other_signs(run, step, matrices, seed) for step in track(steps, "checkpoints")]
    collapse, uniform = progress.collapse.run.mean, float(progress.uniform)
    best = progress.heads.mean.max(2) / uniform
    values = {
        STEP: np.array(steps, dtype=float),
        "the loss that falls": np.array([falling[max(0, step - RECENT) : step].mean() for step in steps]),
        "collapse": collapse,
        "collapse, below its height": np.maximum.accumulate(collapse) - collapse,
        "attention, all heads": progress.attention.run.mean / uniform,
        **{f"attention, best head of layer {layer + 1}": best[:, layer] for layer in range(best.shape[1])},
    }
    values |= {name: np.array([each[name] for each in others]) for name in others[0]}
    for name, norm in norms.items():
        kind, _, group = name.partition("/")
        if kind == "grad_norm":
            until = np.searchsorted(norms["step"], steps)
            values[f"gradient, {group}"] = np.array([norm[max(0, row - NORMS) : max(1, row)].mean() for row in until])
    return Series(onset, values)


def fixed_rule(runs: Sequence[Series], name: str, blind: float) -> tuple[bool, float]:
    """The direction and the threshold that announce most of these runs in time; of those, the earliest."""
    values = np.concatenate([series.values[name][series.step >= blind] for series in runs])
    thresholds = np.unique(np.quantile(values, np.linspace(0, 1, THRESHOLDS)))
    rules = [(rises, float(threshold)) for rises in (True, False) for threshold in thresholds]
    return max(rules, key=lambda rule: _score(lead_of(series, name, *rule, blind) for series in runs))


def _score(leads: Iterable[float]) -> tuple[int, float]:
    """How many are in time, and by how much, typically."""
    good = [lead for lead in leads if lead <= WINDOW]
    return len(good), float(np.median(good)) if good else 0.0


def lead_of(series: Series, name: str, rises: bool, threshold: float, blind: float) -> float:
    """Steps from a rule's word to the onset over the onset; NaN if it has not spoken by then."""
    values = series.values[name]
    beyond = (values >= threshold if rises else values <= threshold) & (series.step >= blind)
    twice = np.convolve(beyond, np.ones(TWICE), "full")[: len(beyond)] >= TWICE
    spoken = np.flatnonzero(twice & (series.step < series.onset))
    return 1 - float(series.step[spoken[0]]) / series.onset if len(spoken) else math.nan
