"""What the page's scrubber moves: the measurements of a run at many of its checkpoints, ready for JSON.

A story has parts. Which ones depends on the kind of the model; a part that the run cannot give holds the reason
instead.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from abruptlab.errors import AbruptlabError, RunError
from abruptlab.experiments.attention import KINDS, LOOKS_AT, NO_LABEL, AttentionOverTime, measure_attention_over_time
from abruptlab.experiments.embeddings import Embeddings, measure_embeddings_over_time
from abruptlab.experiments.examples import MASKS, Gallery, measure_gallery
from abruptlab.experiments.level import trivial_level
from abruptlab.experiments.losses import smooth
from abruptlab.experiments.probes import PLACES, Probes, measure_probes
from abruptlab.experiments.progress import Measure, Progress, measure_progress
from abruptlab.experiments.sequence_attention import SequenceAttention, measure_sequence_attention
from abruptlab.figures.attention import COLOURS
from abruptlab.figures.style import GREEN, curve_colour
from abruptlab.paper import Findings
from abruptlab.report.pack import packed_maps, rounded
from abruptlab.report.seeds import band, other_seeds
from abruptlab.run.metrics import finite
from abruptlab.run.run import Run
from abruptlab.system.tracking import track

SCRUBBED = 48  # checkpoints that can be scrubbed through
POINTS = 500  # of a curve
EARLY = 100  # more of them, ever denser towards its start

TARGETS = {
    "row": "the token's row",
    "column": "its column",
    "element": "its true value",
    "singular_vector": "the top singular vector",
}
COPYING = "copying"  # label of a decoder's head with most of its attention on the entry to be copied
NEEDED = "needed"  # or, in another task, on the places of the prompt that the answer needs


@dataclass(frozen=True)
class Story:
    """The checkpoints that are told, and what was measured at each."""

    steps: tuple[int, ...]
    results: Mapping[str, Any]  # by part, its result, as the experiments return it
    content: dict[str, Any]  # by part, what the page's script reads; {"missing": reason} where there is none


def measure_story(findings: Findings) -> Story:
    """Measure all parts of a run's story. Raises `RunError` if the run has no metrics yet."""
    run = findings.run
    if not len(run.metrics["step"]):
        raise RunError(f"{run.folder} has no metrics yet")
    steps = told_steps(run)
    results: dict[str, Any] = {}
    moments = [{"name": name, "at": steps.index(step)} for name, step in run.milestones.items()]
    content: dict[str, Any] = {"steps": steps, "moments": moments, "curves": _curves(run)}
    parts = parts_of(run)
    for name in track(list(parts), "parts of the story"):
        try:
            if not steps:
                raise RunError("the run has no checkpoint yet")
            results[name] = parts[name].measure(findings, steps)
        except AbruptlabError as error:
            content[name] = {"missing": str(error)}
        else:
            content[name] = parts[name].write(run, results[name])
    return Story(steps, results, content)


def told_steps(run: Run) -> tuple[int, ...]:
    """The milestones, and as many more checkpoints as make SCRUBBED or a few over, evenly along those that were saved:
    these are densest around the drop."""
    saved = run.steps
    even = np.linspace(0, len(saved) - 1, min(SCRUBBED, len(saved))).round().astype(int)
    return tuple(sorted({*run.milestones.values(), *(saved[index] for index in even)}))


def _curves(run: Run) -> dict[str, Any]:
    step, objective = run.metrics["step"], run.objective
    last = len(step) - 1
    even, early = np.linspace(0, last, POINTS), np.geomspace(1, last + 1, EARLY) - 1
    rows = np.unique(np.concatenate([even, early]).round().astype(int))
    drop, others = run.drop, other_seeds(run)
    content: dict[str, Any] = {
        "step": step[rows].tolist(),
        "lines": [
            {
                "name": metric.label,
                "colour": curve_colour(metric.name),  # CSS turns black to white in the dark
                "falls": metric == objective.drops,
                "value": rounded(smooth(run.metrics[metric.name])[rows]),
            }
            for metric in objective.curves
        ],
        "unit": objective.drops.unit,
        "level": finite(trivial_level(run)),
        "trivial": objective.trivial,
        "drop": None if drop is None else {"plateau": drop.plateau, "onset": drop.onset, "end": drop.end},
        "seeds": None,
    }
    if others:
        low, high = band(run, others, rows)
        content["seeds"] = {"count": 1 + len(others), "low": rounded(low), "high": rounded(high)}
    return content


def _measure(measure: Callable[..., Any]) -> Callable[[Findings, Sequence[int]], Any]:
    return lambda findings, steps: findings.of(partial(measure, steps=steps))


def _measure_probes(findings: Findings, steps: Sequence[int]) -> list[Probes]:
    return [findings.of(partial(measure_probes, step=step)) for step in track(steps, "checkpoints")]


def _examples(run: Run, gallery: Gallery) -> dict[str, Any]:
    return {
        "masks": MASKS,
        "percentile": gallery.percentile.tolist(),
        "truth": rounded(gallery.truth),
        "observed": gallery.observed.tolist(),
        "predictions": rounded(gallery.predictions),
    }


def _attention(run: Run, attention: AttentionOverTime) -> dict[str, Any]:
    return {
        "maps": packed_maps(attention.maps),
        "grids": _grids(run),
        "kinds": KINDS,
        "colours": COLOURS,
        "share": rounded(attention.share.mean),
        "uniform": rounded(attention.uniform),
        "label": attention.label.tolist(),
    }


def _sequence_attention(run: Run, attention: SequenceAttention) -> dict[str, Any]:
    share = attention.copying.mean[..., None]
    kind = COPYING if run.objective.kind == "decoder" else NEEDED
    return {
        "maps": packed_maps(attention.maps, signed=run.config.model.attention == "linear"),
        "grids": _grids(run),
        "kinds": [kind],
        "colours": {kind: GREEN},
        "share": rounded(share),
        "uniform": [None],  # a query sees the more places the later it comes
        "label": np.where(attention.copying.mean >= LOOKS_AT, kind, NO_LABEL).tolist(),
    }


def _grids(run: Run) -> list[dict[str, Any]]:
    """The places of the sequence as grids: from which place on, row by row."""
    return [asdict(segment) for segment in run.objective.segments]


def _embeddings(run: Run, embeddings: Embeddings) -> dict[str, Any]:
    return {
        "value": rounded(embeddings.value),
        "row": embeddings.row.tolist(),
        "column": embeddings.column.tolist(),
        "tokens": rounded(embeddings.tokens.components),
        "positions": rounded(embeddings.positions.components),
        "layout": rounded(embeddings.positions.layout),
        "by_column": rounded(embeddings.positions.by_column.score),
        "by_row": rounded(embeddings.positions.by_row.score),
    }


def _probes(run: Run, probes: Sequence[Probes]) -> dict[str, Any]:
    layers = len(probes[0].sites) - 1
    return {
        "sites": ["embedding", *(f"layer {layer + 1}" for layer in range(layers))],
        "places": PLACES,
        "targets": [
            {
                "name": name,
                "cosine": rounded(np.stack([getattr(each, target).cosine.mean for each in probes])),
                "chance": rounded(np.stack([getattr(each, target).chance_cosine.mean for each in probes])),
            }
            for target, name in TARGETS.items()
        ],
    }


def _progress(run: Run, progress: Progress) -> dict[str, Any]:
    def written(measure: Measure) -> dict[str, Any]:
        return {"run": rounded(measure.run.mean), "layers": rounded(measure.layers.mean.T)}

    return {
        "collapse": written(progress.collapse),
        "attention": written(progress.attention),
        "uniform": progress.uniform.item(),
    }


@dataclass(frozen=True)
class Part:
    """A part of the page that the scrubber moves."""

    name: str
    kinds: tuple[str, ...]  # of the objectives whose runs have it (`Objective.kind`)
    measure: Callable[[Findings, Sequence[int]], Any]
    write: Callable[[Run, Any], dict[str, Any]]


PARTS = (
    Part("examples", ("encoder",), _measure(measure_gallery), _examples),
    Part("attention", ("encoder",), _measure(measure_attention_over_time), _attention),
    Part("attention", ("decoder", "sequence"), _measure(measure_sequence_attention), _sequence_attention),
    Part("embeddings", ("encoder",), _measure(measure_embeddings_over_time), _embeddings),
    Part("probes", ("encoder",), _measure_probes, _probes),
    Part("progress", ("encoder", "sequence"), _measure(measure_progress), _progress),
)


def parts_of(run: Run) -> dict[str, Part]:
    """The parts that a run's page has, by name."""
    return {part.name: part for part in PARTS if run.objective.kind in part.kinds}
