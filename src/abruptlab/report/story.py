"""What the page's scrubber moves: the measurements of a run at many of its checkpoints, ready for JSON.

A story has parts. Which ones depends on the kind of the model; a part that the run cannot give holds the reason
instead.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from abruptlab.errors import AbruptlabError, RunError
from abruptlab.experiments.attention import KINDS, NO_LABEL, AttentionOverTime, measure_attention_over_time
from abruptlab.experiments.attention import MOST as MOST_OF_IT
from abruptlab.experiments.embeddings import Embeddings, measure_embeddings_over_time
from abruptlab.experiments.examples import MASKS, Gallery, measure_gallery
from abruptlab.experiments.losses import smooth
from abruptlab.experiments.probes import PLACES, Probes, measure_probes
from abruptlab.experiments.progress import Measure, Progress, measure_progress
from abruptlab.experiments.sequence_attention import SequenceAttention, measure_sequence_attention
from abruptlab.figures.attention import COLOURS
from abruptlab.figures.style import GREEN, LOSS, MASKED, OBSERVED, REFERENCE
from abruptlab.paper import Findings
from abruptlab.report.pack import packed_shares, rounded
from abruptlab.report.seeds import band, other_seeds
from abruptlab.run.run import DROPS, Run

MOST = 48  # checkpoints that can be scrubbed through
POINTS = 500  # of a curve
EARLY = 100  # more of them, ever denser towards its start

CURVES = {  # of a model's kind, by metric: what it is called, and its colour (CSS turns black to white in the dark)
    "encoder": {
        "loss": ("L, all entries", LOSS),
        "loss_observed": ("L_obs, observed entries", OBSERVED),
        "loss_masked": ("L_mask, hidden entries", MASKED),
    },
    "decoder": {
        "loss_prompt": ("loss over the prompt", REFERENCE),
        "loss_observed": ("loss at observed entries of the answer", OBSERVED),
        "loss_masked": ("loss at hidden entries of the answer", MASKED),
    },
}
TARGETS = {
    "row": "the token's row",
    "column": "its column",
    "element": "its true value",
    "singular_vector": "the top singular vector",
}
UNIT = {"encoder": "mean squared error", "decoder": "cross-entropy (nats)"}
COPYING = "copying"  # label of a decoder's head with most of its attention on the entry to be copied


@dataclass(frozen=True)
class Story:
    """The checkpoints that are told, and what was measured at each."""

    steps: tuple[int, ...]
    results: Mapping[str, Any]  # by part, its result, as the experiments return it
    content: dict[str, Any]  # by part, what the page's script reads; {"missing": reason} where there is none


def tell(found: Findings, through: Callable[[Sequence[str]], Iterable[str]] = iter) -> Story:
    """Measure all parts of a run's story; `through` may show progress over their names.

    Raises `RunError` if the run has no metrics yet.
    """
    run = found.run
    if not len(run.metrics["step"]):
        raise RunError(f"{run.folder} has no metrics yet")
    steps = told_steps(run)
    results: dict[str, Any] = {}
    content: dict[str, Any] = {"steps": steps, "moments": _moments(run, steps), "curves": _curves(run)}
    parts = PARTS[run.config.model.kind]
    for name in through(list(parts)):
        measure, write = parts[name]
        try:
            if not steps:
                raise RunError("the run has no checkpoint yet")
            results[name] = measure(found, steps)
        except AbruptlabError as error:
            content[name] = {"missing": str(error)}
        else:
            content[name] = write(run, results[name])
    return Story(steps, results, content)


def told_steps(run: Run) -> tuple[int, ...]:
    """The milestones, and as many more checkpoints as make MOST or a few over, evenly along those that were saved:
    these are densest around the drop."""
    saved = run.steps
    even = np.linspace(0, len(saved) - 1, min(MOST, len(saved))).round().astype(int)
    return tuple(sorted({*run.milestones.values(), *(saved[at] for at in even)}))


def _moments(run: Run, steps: Sequence[int]) -> list[dict[str, Any]]:
    return [{"name": name, "at": steps.index(step)} for name, step in run.milestones.items()]


def _curves(run: Run) -> dict[str, Any]:
    step, kind = run.metrics["step"], run.config.model.kind
    last = len(step) - 1
    even, early = np.linspace(0, last, POINTS), np.geomspace(1, last + 1, EARLY) - 1
    at = np.unique(np.concatenate([even, early]).round().astype(int))
    drop, others = run.drop, other_seeds(run)
    value = {metric: rounded(smooth(run.metrics[metric])[at]) for metric in CURVES[kind]}
    content: dict[str, Any] = {
        "step": step[at].tolist(),
        "lines": [
            {"name": name, "colour": colour, "falls": metric == DROPS[kind], "value": value[metric]}
            for metric, (name, colour) in CURVES[kind].items()
        ],
        "unit": UNIT[kind],
        "level": run.config.task.copying_level if kind == "encoder" else None,
        "drop": None if drop is None else {"plateau": drop.plateau, "onset": drop.onset, "end": drop.end},
        "seeds": None,
    }
    if others:
        low, high = band(run, others, at)
        content["seeds"] = {"count": 1 + len(others), "low": rounded(low), "high": rounded(high)}
    return content


def _measure(measure: Callable[..., Any]) -> Callable[[Findings, Sequence[int]], Any]:
    return lambda found, steps: found.of(partial(measure, steps=steps))


def _measure_probes(found: Findings, steps: Sequence[int]) -> list[Probes]:
    return [found.of(partial(measure_probes, step=step)) for step in steps]


def _examples(run: Run, gallery: Gallery) -> dict[str, Any]:
    return {
        "masks": MASKS,
        "percentile": gallery.percentile.tolist(),
        "truth": rounded(gallery.truth),
        "observed": gallery.observed.tolist(),
        "predictions": rounded(gallery.predictions),
    }


def _attention(run: Run, found: AttentionOverTime) -> dict[str, Any]:
    rows, columns = found.size
    return {
        "maps": packed_shares(found.maps),
        "grids": [_grid("matrix", 0, rows, columns)],
        "kinds": KINDS,
        "colours": COLOURS,
        "share": rounded(found.share.mean),
        "uniform": rounded(found.uniform),
        "label": found.label.tolist(),
    }


def _sequence_attention(run: Run, found: SequenceAttention) -> dict[str, Any]:
    size, copying = max(run.config.task.sizes, key=math.prod), found.copying.mean[..., None]
    return {
        "maps": packed_shares(found.maps),
        "grids": [
            _grid("prompt: the matrix with holes", 0, *size),
            _grid("SEP", found.entries, 1, 1),
            _grid("answer: the whole matrix", found.entries + 1, *size),
        ],
        "kinds": [COPYING],
        "colours": {COPYING: GREEN},
        "share": rounded(copying),
        "uniform": [None],  # a query sees the more places the later it comes
        "label": np.where(found.copying.mean >= MOST_OF_IT, COPYING, NO_LABEL).tolist(),
    }


def _grid(name: str, start: int, rows: int, columns: int) -> dict[str, Any]:
    """A matrix within the sequence of places: from which place on, row by row."""
    return {"name": name, "start": start, "rows": rows, "columns": columns}


def _embeddings(run: Run, found: Embeddings) -> dict[str, Any]:
    return {
        "value": rounded(found.value),
        "row": found.row.tolist(),
        "column": found.column.tolist(),
        "tokens": rounded(found.tokens.components),
        "positions": rounded(found.positions.components),
        "layout": rounded(found.positions.layout),
        "by_column": rounded(found.positions.by_column.score),
        "by_row": rounded(found.positions.by_row.score),
    }


def _probes(run: Run, found: Sequence[Probes]) -> dict[str, Any]:
    layers = len(found[0].sites) - 1
    return {
        "sites": ["embedding", *(f"layer {layer + 1}" for layer in range(layers))],
        "places": PLACES,
        "targets": [
            {
                "name": name,
                "cosine": rounded(np.stack([getattr(probes, target).cosine.mean for probes in found])),
                "chance": rounded(np.stack([getattr(probes, target).chance_cosine.mean for probes in found])),
            }
            for target, name in TARGETS.items()
        ],
    }


def _progress(run: Run, found: Progress) -> dict[str, Any]:
    def written(measure: Measure) -> dict[str, Any]:
        return {"run": rounded(measure.run.mean), "layers": rounded(measure.layers.mean.T)}

    return {
        "collapse": written(found.collapse),
        "attention": written(found.attention),
        "uniform": found.uniform.item(),
    }


PARTS: Mapping[str, Mapping[str, tuple[Callable[..., Any], Callable[..., dict[str, Any]]]]] = {
    "encoder": {
        "examples": (_measure(measure_gallery), _examples),
        "attention": (_measure(measure_attention_over_time), _attention),
        "embeddings": (_measure(measure_embeddings_over_time), _embeddings),
        "probes": (_measure_probes, _probes),
        "progress": (_measure(measure_progress), _progress),
    },
    "decoder": {"attention": (_measure(measure_sequence_attention), _sequence_attention)},
}
