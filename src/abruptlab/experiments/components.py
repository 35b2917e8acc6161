"""One component trained from scratch, the others as they ended and frozen (figure 8)."""

from abruptlab.arguments import checked, require
from abruptlab.experiments.variants import Variants, series, side_by_side
from abruptlab.run.pretrained import find_run
from abruptlab.sweep.file import Sweep

FAMILY = "components"
ORDINARY = "ordinary training"


@checked
def measure_components(sweep: Sweep) -> Variants:
    """Figure 8: the runs in which one component is trained, and below them the finished run that gave the others.

    Raises `ConfigError` for a sweep without such a family, or with several finished runs in it, and `RunError` if no
    run is finished, or the finished run is not there.
    """
    starts = {point.config.start.run for point in sweep.points if point.family == FAMILY}
    expected = f"all of the family {FAMILY!r} to start from one finished run"
    require(len(starts) == 1 and "" not in starts, "figure 8", expected, ", ".join(map(repr, sorted(starts))))
    by_label = {label: [series(run) for run in of_label] for label, of_label in sweep.finished(FAMILY).items()}
    by_label[ORDINARY] = [series(find_run(starts.pop()))]
    return side_by_side(by_label, sweep.planned(FAMILY) | {ORDINARY: 1})
