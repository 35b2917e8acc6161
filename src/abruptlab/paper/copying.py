"""The copying check (table 1)."""

from collections.abc import Callable
from functools import partial

import numpy as np

from abruptlab.errors import CheckpointError
from abruptlab.experiments.copying import MOMENTS, CopyingCheck, measure_copying
from abruptlab.figures.table import Table
from abruptlab.paper.claim import TRAINED, UNTRAINED, Bound, Claim, Number
from abruptlab.paper.findings import Findings
from abruptlab.paper.registry import Tables, TableSpec
from abruptlab.paper.training import COPIED, zero_level


def tabulate_copying(check: CopyingCheck) -> Table:
    """Table 1, a row for each step, kind of matrix and value put at the hidden places."""
    columns = ("moment", "step", "matrices", "at hidden places", "L", "±", "L_obs", "±", "distance to it", "±")
    return Table(
        columns,
        tuple(
            (
                str(check.moment[row]),
                int(check.step[row]),
                "low rank" if check.low_rank[row] else "full rank",
                "MASK" if np.isnan(check.value[row]) else f"{check.value[row]:g}",
                *(
                    float(f"{number:.3g}")
                    for estimate in (check.loss, check.loss_observed, check.distance)
                    for number in (estimate.mean[row], estimate.error[row])
                ),
            )
            for row in range(len(check.step))
        ),
    )


TABLES: Tables = {
    "1": TableSpec(
        "The copying check",
        "table 1",
        "At three moments before the drop (the paper's steps 1,000, 4,000 and 14,000 are 0.07, 0.28 and 0.98 of its "
        "onset; here the checkpoints nearest to them): at the hidden places stands MASK or a value token, in low-rank "
        "matrices of the task and in full-rank ones. L and L_obs are errors against the matrix, the distance is the "
        "mean squared difference between the predictions at the hidden places and the value put there (0 for MASK); ± "
        "one standard error over matrices.",
        measure_copying,
        tabulate_copying,
    ),
}

WHEN = {"early": "Early on the plateau", "middle": "In mid-plateau", "late": "Just before the drop"}
SHARE = {name: f"at the checkpoint nearest to {share:g} of the onset" for name, share in MOMENTS.items()}


def _worst(moment: str, low_rank: bool, *quantities: str) -> Callable[[Findings], Number]:
    """The largest of some quantities over the values put at the hidden places, over E[x²]."""

    def worst(findings: Findings) -> Number:
        check = findings.of(measure_copying)
        rows = (check.moment == moment) & (check.low_rank == low_rank)
        if not rows.any():
            raise CheckpointError(f"no checkpoint is the {moment} moment of the copying check")
        largest = max(float(getattr(check, quantity).mean[rows].max()) for quantity in quantities)
        return largest / zero_level(findings)

    return worst


def _claims(moment: str) -> dict[str, Claim]:
    """Table 1 at one of its three moments."""
    when, share = WHEN[moment], SHARE[moment]
    claim = partial(Claim, source="caption", bound=Bound(high=COPIED), tables=("1",))
    return {
        f"copies-values-{moment}": claim(
            f"{when}, the output at hidden places is the value put there.",
            quantity=f"largest mean squared distance to the value, MASK as 0, / E[x²], {share}",
            measure=_worst(moment, True, "distance"),
            nulls=(UNTRAINED, TRAINED),
        ),
        f"copies-anything-{moment}": claim(
            f"{when}, it copies full-rank matrices and the values put into them, too.",
            quantity=f"largest L_obs, or mean squared distance to the value, on full-rank matrices / E[x²], {share}",
            measure=_worst(moment, False, "loss_observed", "distance"),
            nulls=(UNTRAINED, TRAINED),
        ),
        f"copies-beside-values-{moment}": claim(
            f"{when}, values put at hidden places do not disturb the copying of the observed ones.",
            quantity=f"largest L_obs / E[x²], {share}",
            measure=_worst(moment, True, "loss_observed"),
            nulls=(UNTRAINED,),
        ),
    }


CLAIMS: dict[str, Claim] = {name: claim for moment in MOMENTS for name, claim in _claims(moment).items()}
