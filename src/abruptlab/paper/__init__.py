"""The paper's figures, tables and claims: what each is, how it is measured, drawn and judged."""

from abruptlab.paper.catalogue import CLAIMS, FIGURES, TABLES
from abruptlab.paper.claim import Bound, Claim
from abruptlab.paper.findings import Findings, options_of
from abruptlab.paper.judge import judge, save_claims, write_claims
from abruptlab.paper.make import make_figure, make_table
from abruptlab.paper.registry import FigureSpec, TableSpec, shown_in
from abruptlab.paper.verdict import Verdict, counted, read_verdicts, together, write_verdicts

__all__ = [
    "CLAIMS",
    "FIGURES",
    "TABLES",
    "Bound",
    "Claim",
    "FigureSpec",
    "Findings",
    "TableSpec",
    "Verdict",
    "counted",
    "judge",
    "make_figure",
    "make_table",
    "options_of",
    "read_verdicts",
    "save_claims",
    "shown_in",
    "together",
    "write_claims",
    "write_verdicts",
]
