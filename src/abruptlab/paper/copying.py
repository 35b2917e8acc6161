"""The copying check (table 1)."""

from typing import TYPE_CHECKING

import numpy as np

from abruptlab.figures.table import Table
from abruptlab.paper.registry import Bound, Claim, Findings, TableSpec, later

if TYPE_CHECKING:
    from abruptlab.experiments.copying import CopyingCheck

COPYING = later("experiments.copying", "measure_copying")
COPIED = 0.01  # of E[x²], as for the observed entries: an error a tenth of an entry's size is a copy


def tabulate_copying(check: "CopyingCheck") -> Table:
    """Table 1, a row for each step, kind of matrix and value put at the hidden places."""
    columns = ("step", "matrices", "at hidden places", "L", "±", "L_obs", "±", "distance to it", "±")
    return Table(
        columns,
        tuple(
            (
                int(check.step[at]),
                "low rank" if check.low_rank[at] else "full rank",
                "MASK" if np.isnan(check.value[at]) else f"{check.value[at]:g}",
                *(
                    float(f"{number:.3g}")
                    for estimate in (check.loss, check.loss_observed, check.distance)
                    for number in (estimate.mean[at], estimate.error[at])
                ),
            )
            for at in range(len(check.step))
        ),
    )


TABLES: dict[str, TableSpec] = {
    "1": TableSpec(
        "The copying check",
        "table 1",
        "Before, at and after the drop: at the hidden places stands MASK or a value token, in low-rank matrices of the "
        "task and in full-rank ones. L and L_obs are errors against the matrix, the distance is the mean squared "
        "difference between the predictions at the hidden places and the value put there (0 for MASK); ± one standard "
        "error over matrices.",
        COPYING,
        later("paper.copying", "tabulate_copying"),
    ),
}


def _worst(found: Findings, quantity: str, low_rank: bool) -> float:
    """The largest value of the quantity in the middle of the plateau, over E[x²]."""
    check: CopyingCheck = found.of(COPYING)
    rows = (check.step == found.run.resolve("before-drop")) & (check.low_rank == low_rank)
    return float(getattr(check, quantity).mean[rows].max()) / found.run.config.matrices.copying_level


CLAIMS: dict[str, Claim] = {
    "copies-values": Claim(
        "Before the drop, the output at hidden places is the value put there.",
        "table 1",
        "largest mean squared distance to the value, MASK as 0, / E[x²]",
        Bound(high=COPIED),
        lambda found, drop: _worst(found, "distance", True),
    ),
    "copies-anything": Claim(
        "Before the drop, it copies full-rank matrices and the values put into them, too.",
        "table 1",
        "largest L_obs, or mean squared distance to the value, on full-rank matrices / E[x²]",
        Bound(high=COPIED),
        lambda found, drop: max(_worst(found, name, False) for name in ("loss_observed", "distance")),
    ),
    "copies-beside-values": Claim(
        "Values put at hidden places do not disturb the copying of the observed ones.",
        "table 1",
        "largest L_obs before the drop / E[x²]",
        Bound(high=COPIED),
        lambda found, drop: _worst(found, "loss_observed", True),
    ),
}
