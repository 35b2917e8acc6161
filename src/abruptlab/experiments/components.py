"""One component trained from scratch, the others as they ended and frozen (figure 8)."""

from collections import Counter
from typing import TYPE_CHECKING

from abruptlab.arguments import checked
from abruptlab.errors import ConfigError, RunError
from abruptlab.experiments.variants import Variants, series, side_by_side
from abruptlab.run.pretrained import find_run

if TYPE_CHECKING:
    from abruptlab.sweep.file import Sweep

FAMILY = "components"
ORDINARY = "ordinary training"


@checked
def measure_components(sweep: "Sweep") -> Variants:
    """Figure 8: the runs in which one component is trained, and below them the finished run that gave the others.

    Raises `ConfigError` for a sweep without such a family, or with several finished runs in it, and `RunError` if no
    run is finished, or the finished run is not there.
    """
    runs = sweep.runs(FAMILY)
    points = [point for point in sweep.points if point.family == FAMILY]
    starts = {point.config.start.run for point in points}
    if len(starts) != 1 or "" in starts:
        given = ", ".join(map(repr, sorted(starts)))
        raise ConfigError(
            f"figure 8: expected all of the family {FAMILY!r} to start from one finished run, got {given}"
        )
    if not any(runs.values()):
        raise RunError(f"{sweep.folder}: no run of the family {FAMILY!r} is finished")
    by_label = {label: [series(run) for run in of_label] for label, of_label in runs.items()}
    by_label[ORDINARY] = [series(find_run(starts.pop()))]
    return side_by_side(by_label, Counter(point.label for point in points) | {ORDINARY: 1})
