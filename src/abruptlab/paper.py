"""The paper's figures and claims, by id: what each is, how it is measured, drawn and judged.

A claim's bound was fixed before any run was judged and is the same for every run; a claim that fails is reported with
its number. Matplotlib and PyTorch are imported when a figure is made, not with this module.
"""

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from abruptlab.errors import ConfigError, RunError
from abruptlab.experiments.losses import loss_of_zero, smooth
from abruptlab.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from abruptlab.drop import Drop
    from abruptlab.runs import Run


# ---- figures


@dataclass(frozen=True)
class FigureSpec:
    """A figure of the paper."""

    title: str
    place: str  # in the paper
    caption: str  # what to see in it
    measure: "Callable[[Run], Any]"  # Run → result dataclass
    draw: "Callable[[Any], Figure]"


def _later(module: str, name: str) -> Callable[..., Any]:
    """A function of the package that is imported when it is called."""

    def call(*arguments: Any) -> Any:
        return getattr(import_module(f"abruptlab.{module}"), name)(*arguments)

    return call


FIGURES: dict[str, FigureSpec] = {
    "1": FigureSpec(
        "Matrix completion and its two phases",
        "figure 1",
        "(A) Masked language modelling beside matrix completion: a typical held-out matrix, hidden entries hatched, "
        "part of one of its rows as tokens, and both as the trained model completes them (hidden entries outlined). "
        "(B) The loss L over training: a copying phase in which hidden entries are predicted as zero, then the "
        "completion phase.",
        _later("experiments.overview", "measure_overview"),
        _later("figures.overview", "draw_overview"),
    ),
    "2": FigureSpec(
        "The losses over training",
        "figure 2",
        "L over all, L_obs over the observed and L_mask over the hidden entries, on logarithmic and on linear axes; "
        "faint the value of each step, on fresh matrices, strong their running mean. L_obs falls early; L_mask stays "
        "at the level of predicting zero (dashed) until the drop (yellow band, from onset to end).",
        _later("experiments.losses", "measure_loss_curves"),
        _later("figures.loss", "draw_loss_curves"),
    ),
    "matrices": FigureSpec(
        "One matrix before and after the drop",
        "beside figure 1",
        "A typical held-out matrix (of 256, the one with the median final L_mask): the input, the predictions before "
        "and after the drop, the truth and the errors, on one colour scale. Hidden entries are hatched in the input "
        "and outlined elsewhere.",
        _later("experiments.examples", "measure_examples"),
        _later("figures.matrices", "draw_examples"),
    ),
}


def make_figure(figure: str, run: "Run", command: str) -> list[Path]:
    """Measure, draw and save one figure of a run in its `figures` folder; `command` is noted beside it.

    Returns the paths of the PNG, the PDF, the data (NPZ) and how it was made (JSON). Raises `ConfigError`, listing the
    ids, for one that does not exist; `RunError` if the run lacks what the figure needs, or the files cannot be
    written.
    """
    if figure not in FIGURES:
        raise ConfigError(f"no figure {figure!r}; there are: {', '.join(FIGURES)}")
    from abruptlab.figures.save import arrays, save_figure

    spec = FIGURES[figure]
    result = spec.measure(run)
    drawing = spec.draw(result)
    with writing(run):
        return save_figure(
            drawing, run.folder / "figures", f"figure_{figure}", arrays(result), command, run.config.seed
        )


@contextmanager
def writing(run: "Run") -> Iterator[None]:
    """Turns a failure to write into the run folder into a `RunError` that names the file."""
    try:
        yield
    except OSError as error:
        raise RunError(f"cannot write {error.filename or run.folder}: {error.strerror or error}") from None


# ---- claims

COPIED = 0.01  # of E[x²]: an error a tenth of an entry's size is a copy, not an estimate
SAME = 0.05  # relative: several times the noise of a median over a plateau, far less than any progress would make
ZERO = 0.1  # of √E[x²]: the size of the noise of predictions, a seventh of the mean |x|
FAST = 1.0  # of the steps before it: a fall as long as the plateau would be a slope
EARLY = 0.5  # of the onset: copying is learnt while most of the plateau is still to come
WAITS = 0.9  # of the plateau: where the detector puts the edge of the plateau
FALLEN = 0.2  # of the plateau: more than the unpredictable part of hidden entries, less than a partial improvement
APPEARED = 0.5  # of √E[x²]: most of the mean |x|, which is 0.75 of it at rank 1 and tends to 0.8
LATE = 0.05  # share of the run, at its end, over which the final values are read


@dataclass(frozen=True)
class Bound:
    """The values with which a claim holds, its ends included."""

    low: float = -math.inf
    high: float = math.inf

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        if self.low == self.high:
            return f"exactly {self.low:g}"
        if self.low == -math.inf:
            return f"at most {self.high:g}"
        return f"at least {self.low:g}" if self.high == math.inf else f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Claim:
    """A claim of the paper as one number of a run and the bound within which it holds."""

    text: str
    place: str
    quantity: str  # what the number is
    bound: Bound
    measure: "Callable[[Run, Drop], float | None]"  # None where the run has nothing to say (yet)
    needs_drop: bool = True  # without a drop it is not judged; else it then fails


@dataclass(frozen=True)
class Verdict:
    """A claim judged on one run."""

    id: str
    claim: str
    place: str
    measured: float | None  # to four digits
    expected: str
    holds: bool | None  # None: the run cannot say


def _plateau(run: "Run", drop: "Drop", metric: str) -> float:
    """Median over the last half of the steps before the onset."""
    steps = run.metrics["step"]
    return float(np.nanmedian(run.metrics[metric][(steps >= drop.onset / 2) & (steps < drop.onset)]))


def _final(run: "Run", drop: "Drop", metric: str) -> float | None:
    """Median over the last steps; None for a run that has been stopped while it falls."""
    late = max(1, round(LATE * len(run.metrics["step"])))
    falling = drop.end is None and not run.finished
    return None if falling else float(np.nanmedian(run.metrics[metric][-late:]))


def _over(number: int | float | None, unit: int | float) -> float | None:
    return None if number is None else number / unit


def _level(run: "Run") -> float:
    return run.config.task.copying_level


def _plateau_loss(run: "Run", drop: "Drop") -> float | None:
    zero = loss_of_zero(run.config.task)
    return _plateau(run, drop, "loss") / zero if zero else None


def _copied_at(run: "Run", drop: "Drop") -> float:
    below = smooth(run.metrics["loss_observed"]) < COPIED * _level(run)
    steps = run.metrics["step"]
    return float(steps[below.argmax()] if below.any() else steps[-1]) / drop.onset


def _masked_halfway(run: "Run", drop: "Drop") -> float:
    halfway = np.searchsorted(run.metrics["step"], drop.onset / 2)
    return float(smooth(run.metrics["loss_masked"])[halfway]) / _plateau(run, drop, "loss_masked")


def _rate_change(run: "Run", drop: "Drop") -> float:
    steps = run.metrics["step"]
    end = steps[-1] if drop.end is None else drop.end
    rates = run.metrics["learning_rate"][(steps >= drop.onset / 2) & (steps <= end)]
    return float(rates.max() / rates.min())


CLAIMS: dict[str, Claim] = {
    "drop": Claim(
        "A plateau, then a sudden drop.",
        "figure 1",
        "steps of the fall / steps before it",
        Bound(high=FAST),
        lambda run, drop: _over(drop.width, drop.onset),
        needs_drop=False,
    ),
    "same-training": Claim(
        "Nothing in the training changes at the drop.",
        "figure 1",
        "largest / smallest learning rate, from half the onset to the end of the drop",
        Bound(1.0, 1.0),
        _rate_change,
    ),
    "copying": Claim(
        "Before the drop, observed entries are copied.",
        "text, figure 2",
        "L_obs on the plateau / E[x²]",
        Bound(high=COPIED),
        lambda run, drop: _plateau(run, drop, "loss_observed") / _level(run),
    ),
    "zero-level": Claim(
        "On the plateau, L_mask is that of predicting zero.",
        "text, figure 2",
        "L_mask on the plateau / E[x²]",
        Bound(1 - SAME, 1 + SAME),
        lambda run, drop: _plateau(run, drop, "loss_masked") / _level(run),
    ),
    "zero-predictions": Claim(
        "On the plateau, hidden entries are predicted as about zero.",
        "text, table 1",
        "mean |prediction| at hidden entries on the plateau / √E[x²]",
        Bound(high=ZERO),
        lambda run, drop: _plateau(run, drop, "mean_abs_masked") / math.sqrt(_level(run)),
    ),
    "plateau-loss": Claim(
        "On the plateau, L is p_mask times L_mask.",
        "text, figure 1",
        "L on the plateau / (p_mask E[x²])",
        Bound(1 - SAME, 1 + SAME),
        _plateau_loss,
    ),
    "observed-first": Claim(
        "L_obs falls early.",
        "figure 2",
        f"first step with L_obs below {COPIED:g} E[x²] (the last step if there is none) / onset",
        Bound(high=EARLY),
        _copied_at,
    ),
    "masked-waits": Claim(
        "L_mask falls only at the drop.",
        "figure 2",
        "L_mask at half the onset / plateau",
        Bound(low=WAITS),
        _masked_halfway,
    ),
    "completion": Claim(
        "After the drop, hidden entries are completed.",
        "figure 2",
        "final L_mask / plateau",
        Bound(high=FALLEN),
        lambda run, drop: _over(_final(run, drop, "loss_masked"), _plateau(run, drop, "loss_masked")),
    ),
    "predictions-appear": Claim(
        "After the drop, predictions at hidden entries are of the entries' size.",
        "text",
        "final mean |prediction| at hidden entries / √E[x²]",
        Bound(low=APPEARED),
        lambda run, drop: _over(_final(run, drop, "mean_abs_masked"), math.sqrt(_level(run))),
    ),
}


def judge(run: "Run") -> list[Verdict]:
    """Every claim, judged on a run. Pure: nothing is written."""
    return [_judge(name, claim, run) for name, claim in CLAIMS.items()]


def _judge(name: str, claim: Claim, run: "Run") -> Verdict:
    expected = f"{claim.quantity}: {claim.bound}"
    if run.drop is None:
        return Verdict(name, claim.text, claim.place, None, expected, None if claim.needs_drop else False)
    number = claim.measure(run, run.drop)
    if number is None or not math.isfinite(number):
        return Verdict(name, claim.text, claim.place, None, expected, None)
    return Verdict(name, claim.text, claim.place, float(f"{number:.4g}"), expected, number in claim.bound)


def write_claims(run: "Run") -> Path:
    """Judge every claim on a run and write the verdicts to its `claims.json`.

    Raises `RunError` if it cannot be written.
    """
    path = run.folder / "claims.json"
    with writing(run):
        write_atomically(path, json.dumps([asdict(verdict) for verdict in judge(run)], indent=1) + "\n")
    return path
