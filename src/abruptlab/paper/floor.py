"""All methods against the floor, in numbers (beside the paper)."""

from abruptlab.experiments.floor import MONTE_CARLO, Floor, measure_floor
from abruptlab.figures.table import Table
from abruptlab.paper.registry import Tables, TableSpec


def tabulate_floor(floor: Floor) -> Table:
    """A row for each method, and for what is known of the posterior mean without the truth."""
    named = (
        ("L", floor.loss.mean),
        ("±", floor.loss.error),
        ("median L", floor.median),
        ("worst 5 %", floor.heaviest),
        ("L_mask", floor.loss_masked.mean),
        ("±", floor.loss_masked.error),
        ("L, well observed", floor.well_observed.mean),
        ("±", floor.well_observed.error),
        ("L above the floor", floor.excess.mean),
        ("±", floor.excess.error),
    )
    columns, numbers = zip(*named, strict=True)
    rows = []
    for index, name in enumerate(floor.names):
        rounded = [float(f"{column[index]:.3g}") for column in numbers]
        above = ["–", "–"] if name == MONTE_CARLO else rounded[-2:]  # a part of a method's L lies above nothing
        rows.append((name, int(floor.matrices[index]), *rounded[:-2], *above))
    return Table(("method", "matrices", *columns), tuple(rows))


TABLES: Tables = {
    "methods": TableSpec(
        "All methods against the floor",
        "beside the paper",
        "Held-out matrices of the task; ± one standard error over matrices. L and L_mask are mean squared errors, the "
        "median is that of the L of a matrix, worst 5 % is the share of the total that the worst twentieth of the "
        "matrices has. Well observed are the matrices with at least three observed entries in every row and column. "
        "The excess over the floor, which is the posterior mean, is taken on the matrices that both have. The "
        "posterior variance is what the posterior mean's squared error is expected to be; its Monte Carlo error is the "
        "part of it that more particles would save.",
        measure_floor,
        tabulate_floor,
    ),
}
