"""The paper's figures, tables and claims: what each is, how it is measured, drawn and judged."""

from abruptlab.paper.catalogue import CLAIMS, FIGURES, SWEEP_CLAIMS, TABLES
from abruptlab.paper.judge import Verdict, judge, write_claims
from abruptlab.paper.make import make_figure, make_table, writing
from abruptlab.paper.registry import Bound, Claim, FigureSpec, Findings, Number, SweepClaim, TableSpec

__all__ = [
    "CLAIMS",
    "FIGURES",
    "SWEEP_CLAIMS",
    "TABLES",
    "Bound",
    "Claim",
    "FigureSpec",
    "Findings",
    "Number",
    "SweepClaim",
    "TableSpec",
    "Verdict",
    "judge",
    "make_figure",
    "make_table",
    "write_claims",
    "writing",
]
