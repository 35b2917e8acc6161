"""All figures, tables and claims by id, each family from its own file."""

from importlib import import_module
from typing import Any

from abruptlab.paper.claim import Claim
from abruptlab.paper.registry import Figures, Tables

FAMILIES = (  # modules, in the order in which they are listed, drawn and judged
    "training",
    "copying",
    "attention",
    "probes",
    "embeddings",
    "ablation",
    "patching",
    "switching",
    "permutation",
    "pivots",
    "progress",
    "comparison",
    "floor",
    "methods",
    "gpt",
    "variants",
    "variant_claims",
    "components",
    "plateau",
    "sequences",
    "plateaus",
    "tasks",
    "causal",
    "announcement",
)


def _all(what: str) -> dict[str, Any]:
    modules = [import_module(f"abruptlab.paper.{family}") for family in FAMILIES]
    return {name: each for module in modules for name, each in getattr(module, what, {}).items()}


FIGURES: Figures = _all("FIGURES")
TABLES: Tables = _all("TABLES")
CLAIMS: dict[str, Claim] = _all("CLAIMS")
