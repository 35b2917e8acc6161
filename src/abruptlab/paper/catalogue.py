"""All figures, tables and claims by id, each family from its own file."""

from typing import Any

from abruptlab.paper import (
    ablation,
    announcement,
    attention,
    causal,
    comparison,
    components,
    copying,
    embeddings,
    floor,
    gpt,
    methods,
    patching,
    permutation,
    pivots,
    plateau,
    plateaus,
    probes,
    progress,
    sequences,
    switching,
    tasks,
    training,
    variant_claims,
    variants,
)
from abruptlab.paper.claim import Claim
from abruptlab.paper.registry import Figures, Tables

FAMILIES = (  # in the order in which they are listed, drawn and judged
    training,
    copying,
    attention,
    probes,
    embeddings,
    ablation,
    patching,
    switching,
    permutation,
    pivots,
    progress,
    comparison,
    floor,
    methods,
    gpt,
    variants,
    variant_claims,
    components,
    plateau,
    sequences,
    plateaus,
    tasks,
    causal,
    announcement,
)


def _all(what: str) -> dict[str, Any]:
    return {name: each for family in FAMILIES for name, each in getattr(family, what, {}).items()}


FIGURES: Figures = _all("FIGURES")
TABLES: Tables = _all("TABLES")
CLAIMS: dict[str, Claim] = _all("CLAIMS")
