"""Can the drop be announced? On the sweeps `announce` (matrices), `announce-sums` (sequences), `announce-rates`
(sequences, at learning rates with which the plateaus differ in length) and `announce-again` (other seeds of that, for
the measures that announced every drop there); beside the papers."""

from functools import partial

from abruptlab.errors import RunError
from abruptlab.experiments.announcement import measure_announcement
from abruptlab.figures.announcement import draw_announcement
from abruptlab.paper.claim import Bound, Claim, Number, null
from abruptlab.paper.findings import Findings
from abruptlab.paper.registry import Figures, FigureSpec

SWEEPS = {
    "announce": "matrices",
    "announce-sums": "sums of neighbours",
    "announce-rates": "sums of neighbours at five learning rates",
    "announce-again": "the same at other seeds",
}
NAMED = {  # on announce-rates each announced all of the ten drops that were tried; written down before announce-again
    "announced-by-attention": "attention, best head of layer 1",
    "announced-by-probe": "a probe of the answer",
    "announced-by-collapse": "collapse",
}
MORE = 0.2  # of the runs: two of ten

CAPTION = (
    "A rule speaks when its measure has passed a threshold at two checkpoints in a row. Direction and threshold are "
    "those that announce most of every other seed's drops in time, and of these the earliest (grey dots); the other "
    "seeds (black) try it. In time is within the half of the plateau before the onset (shaded; the numbers count it); "
    "dots further left are false alarms, and runs without a dot were not announced. The rule of the step is a calendar."
)


def _over_calendar(findings: Findings, measure: str | None) -> Number:
    """Of the measure's rule, or the best one's. Raises `RunError` where a calendar is in time so often that nothing can
    be by `MORE` more often."""
    result = findings.of(measure_announcement)
    if result.by_calendar > 1 - MORE:
        raise RunError(
            f"a calendar announces {result.by_calendar:.0%} of these drops in time, which leaves no room for "
            f"{MORE:.0%} more"
        )
    return result.over_calendar(result.lead, measure)


def _of_others(findings: Findings, measure: str | None) -> Number:
    result = findings.of(measure_announcement)
    return result.over_calendar(result.of_others, measure)


FIGURES: Figures = {
    name: FigureSpec(
        f"Can the drop be announced? ({what})",
        "beside the papers",
        CAPTION,
        measure_announcement,
        draw_announcement,
        sweep=name,
    )
    for name, what in SWEEPS.items()
}


def _claim(text: str, whose: str, sweep: str, measure: str | None = None) -> Claim:
    """A claim that a measure's rule, or the best one's, announces more drops of a sweep than a calendar."""
    return Claim(
        text,
        "ours",
        f"share of the drops that {whose} rule announces in time − that of a calendar, of those that no rule was fixed "
        "on",
        Bound(low=MORE),
        partial(_over_calendar, measure=measure),
        (null("another run's word", partial(_of_others, measure=measure)),),
        figures=(sweep,),
        sweep=sweep,
    )


CLAIMS: dict[str, Claim] = {
    name: _claim(f"The drop can be announced better than by a calendar ({what}).", "the best measure's", name)
    for name, what in SWEEPS.items()
} | {
    name: _claim(
        f"Where plateaus differ in length, {measure.removeprefix('a ')} announces the drop better than a calendar.",
        "its",
        "announce-again",
        measure,
    )
    for name, measure in NAMED.items()
}
