"""All figures, tables and claims by id, in the paper's order, each family from its own file."""

from abruptlab.paper import copying, training
from abruptlab.paper.registry import Claim, FigureSpec, TableSpec

FIGURES: dict[str, FigureSpec] = training.FIGURES
TABLES: dict[str, TableSpec] = copying.TABLES
CLAIMS: dict[str, Claim] = training.CLAIMS | copying.CLAIMS
