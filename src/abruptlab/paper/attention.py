"""Attention maps, and where each head looks (figures 4, 5, 22 and 23)."""

from dataclasses import replace
from functools import partial

import numpy as np
from jaxtyping import Float

from abruptlab.experiments.attention import (
    KINDS,
    Attention,
    AttentionOverTime,
    measure_attention,
    measure_attention_over_time,
)
from abruptlab.figures.attention import (
    draw_attention,
    draw_attention_over_time,
    draw_attention_to_columns,
    draw_attention_to_rows,
    draw_heads,
)
from abruptlab.paper.claim import Bound, Claim, Number, inside, null
from abruptlab.paper.findings import Findings
from abruptlab.paper.registry import Figures, FigureSpec

RANDOM = partial(measure_attention, mask="random")
ROWS = partial(measure_attention, mask="rows")
COLUMNS = partial(measure_attention, mask="columns")
SINGLE = partial(measure_attention, mask="single")

MAPS = (
    "Mean over held-out matrices; queries go down, keys across, white lines part the rows of the matrix; the colour "
    "scale is a square root, from 0."
)
LABELS = (
    "A head is labelled by the places that get most of its attention: at least half of what uniform attention would "
    "spend elsewhere."
)
STRIPS = "Hidden places are dark in the strips: over the keys below each map, over the queries at its left."
NUMBERS = (
    "Above each map, the shares of the head's attention on hidden places and on the only observed entries of the "
    "hidden lines."
)

FIGURES: Figures = {
    "4": FigureSpec(
        "Attention maps",
        "figure 4",
        f"All heads of the trained model, random masks. {MAPS} {LABELS} The number is the share of attention there "
        "above that of uniform attention.",
        RANDOM,
        draw_attention,
    ),
    "5": FigureSpec(
        "Attention maps with hidden rows",
        "figure 5",
        f"One mask for all matrices: two rows hidden but for one entry each. {STRIPS} {NUMBERS} {MAPS}",
        ROWS,
        draw_attention_to_rows,
    ),
    "5-columns": FigureSpec(
        "Attention maps with hidden columns",
        "figure 5",
        f"One mask for all matrices: two columns hidden but for one entry each. {STRIPS} {NUMBERS} {MAPS}",
        COLUMNS,
        draw_attention_to_columns,
    ),
    "22": FigureSpec(
        "Attention maps over training",
        "figure 22",
        f"All heads at several checkpoints, random masks. {MAPS} Frames are the labels. {LABELS}",
        measure_attention_over_time,
        draw_attention_over_time,
    ),
    "23": FigureSpec(
        "Attention maps with one random mask",
        "figure 23",
        f"The same mask, drawn once at random, for all matrices. {STRIPS} {MAPS} Labels and numbers as in figure 4.",
        SINGLE,
        draw_attention,
    ),
    "heads": FigureSpec(
        "Where each head looks",
        "beside figure 4",
        "The share of each head's attention on kinds of places above that of uniform attention, with random masks; "
        "error bars are one standard error over matrices. Heads at or beyond the dashed line are labelled by that kind "
        "(strong colour), unless a narrower one has them already; those beyond the lines of both row and column by the "
        "two together.",
        RANDOM,
        draw_heads,
    ),
}


def _of_any_run(figure: str, other: str) -> FigureSpec[Attention]:
    """A full page of the maps of another figure, of a run of any size and depth."""
    spec = FIGURES[other]
    return replace(
        spec,
        title=spec.title.replace("maps", "maps of any run", 1),
        place=f"figure {figure}",
        caption=f"As {spec.place}, of a run of another size or depth. {spec.caption}",
    )


FIGURES |= {
    figure: _of_any_run(figure, other)
    for figure, other in (("24", "5"), ("25", "5-columns"), ("26", "4"), ("27", "23"))
}

ATTENDING = 0.5  # of a head's attention: what "attends to" says
RISEN = ATTENDING / 2  # half of what is asked of a head after the drop
MOST = 0.5  # of the rise, as of the embeddings' (figures 9 and 10)
MOMENTS = ("before-drop", "onset", "after-drop")
ALMOST_NOTHING = 0.1  # of what uniform attention gives
MORE = 2.0  # times: twice is more than what heads do that merely prefer some places a little


def _share(attention: Attention | AttentionOverTime, kind: str) -> Float[np.ndarray, "*heads"]:
    return attention.share.mean[..., KINDS.index(kind)]


def _uniform(attention: Attention, kind: str) -> np.floating:
    return attention.uniform[KINDS.index(kind)]


def _on_others(attention: Attention | AttentionOverTime, line: str) -> Float[np.ndarray, "*heads"]:
    """The share on the other places of the query's row or column: a head that looks at the query itself attends to
    neither."""
    return _share(attention, line) - _share(attention, "itself")


def _appeared(findings: Findings) -> Number:
    """Of how much the largest such share rises from mid-plateau to the end of the drop, the part from the onset on;
    none where it rises too little for heads to have come."""
    attention = findings.of(measure_attention_over_time)
    largest = np.maximum(_on_others(attention, "row"), _on_others(attention, "column")).max((-2, -1))
    steps = [findings.run.resolve(moment) for moment in MOMENTS]
    before, onset, after = (largest[attention.step == step].item() for step in steps)
    return (after - onset) / (after - before) if after - before >= RISEN else None


def _steady(findings: Findings) -> Number:
    """The same of what rises by as much at every step."""
    before, onset, after = map(findings.run.resolve, MOMENTS)
    return (after - onset) / (after - before)


def _avoidance(findings: Findings) -> float:
    """The smallest share of a head on hidden places over the uniform one, for each head with the masks where it is
    largest; NaN if a mask hides nothing (a matrix of one row or column).

    With one fixed mask alone, a head that looks at the same places whatever is hidden could seem to avoid them.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = [
            _share(findings.of(mask), "hidden") / _uniform(findings.of(mask), "hidden")
            for mask in (ROWS, COLUMNS, RANDOM)
        ]
    return float(np.max(ratios, axis=0).min())


def _preference(findings: Findings) -> float:
    """The attention of a head to the only observed entries, over that to other observed ones and over that to the same
    places with random masks (the smaller; a head that always looks there has no preference for what is alone): the
    largest over heads, for the mask where it is smaller. NaN if a mask has no such entries."""
    numbers = []
    for mask, alone, line in ((ROWS, "alone in row", 1), (COLUMNS, "alone in column", 0)):
        attention = findings.of(mask)
        assert attention.hidden is not None
        observed = ~attention.hidden.reshape(attention.size)
        places = (observed & (observed.sum(line, keepdims=True) == 1)).ravel()
        share = _share(attention, alone)
        others = _share(attention, "observed") - share
        at_random = findings.of(RANDOM).maps.mean(-2)[..., places].sum(-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            of_others = others / (_uniform(attention, "observed") - _uniform(attention, alone))
            over_others = share / _uniform(attention, alone) / of_others
            numbers.append(np.minimum(over_others, share / at_random).max())
    return float(np.min(numbers))


CLAIMS: dict[str, Claim] = {
    **{
        f"{line}-heads": inside(
            f"After the drop, single heads attend to the query's {line}.",
            "caption",
            f"largest share of a head's attention on the other places of the query's {line}",
            Bound(low=ATTENDING),
            lambda findings, line=line: float(_on_others(findings.of(RANDOM), line).max()),
            figures=("4",),
        )
        for line in ("row", "column")
    },
    "attention-appears": inside(
        "These patterns appear at the drop.",
        "caption",
        "the larger of these two shares: of its rise from mid-plateau to the end of the drop, the part that is gained "
        "from the onset on; judged where it rises by 0.25 or more",
        Bound(low=MOST),
        _appeared,
        null("steady growth", _steady),
        figures=("22",),
    ),
    "attention-avoids-hidden": inside(
        "Some heads put almost no weight on hidden places.",
        "caption",
        "smallest share of a head's attention on hidden places / that of uniform attention (hidden rows, hidden "
        "columns, random masks: the largest)",
        Bound(high=ALMOST_NOTHING),
        _avoidance,
        figures=("5", "23"),
    ),
    "attention-finds-alone": inside(
        "Some heads put more weight on rows and columns with hidden entries, at their only observed element.",
        "caption",
        "largest attention of a head to such an element / to another observed one, or to the same place with random "
        "masks (the smaller; of hidden rows and hidden columns, too)",
        Bound(low=MORE),
        _preference,
        figures=("5",),
    ),
}
