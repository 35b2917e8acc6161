"""All figures, tables and claims by id, each family from its own file."""

from abruptlab.paper import (
    ablation,
    attention,
    comparison,
    components,
    copying,
    embeddings,
    floor,
    gpt,
    methods,
    patching,
    permutation,
    probes,
    progress,
    sequences,
    switching,
    training,
    variants,
)
from abruptlab.paper.claim import Claim
from abruptlab.paper.registry import Figures, Tables

FIGURES: Figures = {
    **training.FIGURES,
    **attention.FIGURES,
    **probes.FIGURES,
    **embeddings.FIGURES,
    **ablation.FIGURES,
    **patching.FIGURES,
    **switching.FIGURES,
    **permutation.FIGURES,
    **progress.FIGURES,
    **comparison.FIGURES,
    **methods.FIGURES,
    **gpt.FIGURES,
    **sequences.FIGURES,
    **variants.FIGURES,
    **components.FIGURES,
}
TABLES: Tables = {
    **copying.TABLES,
    **comparison.TABLES,
    **floor.TABLES,
    **variants.TABLES,
}
CLAIMS: dict[str, Claim] = {
    **training.CLAIMS,
    **copying.CLAIMS,
    **attention.CLAIMS,
    **probes.CLAIMS,
    **embeddings.CLAIMS,
    **ablation.CLAIMS,
    **patching.CLAIMS,
    **switching.CLAIMS,
    **permutation.CLAIMS,
    **progress.CLAIMS,
    **comparison.CLAIMS,
    **methods.CLAIMS,
    **gpt.CLAIMS,
    **variants.CLAIMS,
    **components.CLAIMS,
}
