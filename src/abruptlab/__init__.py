"""abruptlab: train a transformer on matrix completion, catch the sudden drop, see what changed inside.

The public names are imported when first used, so that `import abruptlab` (and the command line) is instant.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from abruptlab.complete.imputer import TransformerImputer
    from abruptlab.config import MatrixTask, ModelConfig, RunConfig, TrainingConfig
    from abruptlab.errors import AbruptlabError
    from abruptlab.experiments.ablation import measure_ablation, measure_greedy_ablation, measure_single_ablations
    from abruptlab.experiments.attention import measure_attention, measure_attention_over_time
    from abruptlab.experiments.comparison import measure_comparison
    from abruptlab.experiments.components import measure_components
    from abruptlab.experiments.copying import measure_copying
    from abruptlab.experiments.embeddings import measure_embeddings, measure_embeddings_over_time
    from abruptlab.experiments.examples import measure_examples
    from abruptlab.experiments.floor import measure_floor
    from abruptlab.experiments.generation import measure_generation, measure_gpt_learning
    from abruptlab.experiments.losses import measure_loss_curves
    from abruptlab.experiments.methods import measure_methods
    from abruptlab.experiments.mixture import measure_mixture
    from abruptlab.experiments.out_of_distribution import measure_out_of_distribution
    from abruptlab.experiments.overview import measure_overview
    from abruptlab.experiments.patching import measure_patching, measure_patching_maps
    from abruptlab.experiments.permutation import measure_permutation
    from abruptlab.experiments.probes import measure_probes
    from abruptlab.experiments.progress import measure_progress
    from abruptlab.experiments.sequence_attention import measure_sequence_attention
    from abruptlab.experiments.switching import measure_switch, measure_switching
    from abruptlab.experiments.variants import measure_variants
    from abruptlab.figures.ablation import draw_greedy_ablation, draw_single_ablations
    from abruptlab.figures.attention import (
        draw_attention,
        draw_attention_over_time,
        draw_attention_to_columns,
        draw_attention_to_rows,
        draw_heads,
    )
    from abruptlab.figures.comparison import draw_comparison, draw_out_of_distribution
    from abruptlab.figures.embeddings import draw_embeddings, draw_positions_over_time, draw_tokens_over_time
    from abruptlab.figures.gpt import draw_gpt_learning, draw_sequence_attention
    from abruptlab.figures.loss import draw_loss_curves
    from abruptlab.figures.matrices import draw_examples
    from abruptlab.figures.methods import draw_closeness, draw_floor
    from abruptlab.figures.overview import draw_overview
    from abruptlab.figures.patching import draw_patching
    from abruptlab.figures.permutation import draw_permutation
    from abruptlab.figures.probes import draw_probes
    from abruptlab.figures.progress import draw_progress
    from abruptlab.figures.switching import draw_switching
    from abruptlab.figures.variants import draw_mixture, draw_variants
    from abruptlab.model.decoder import Decoder
    from abruptlab.model.encoder import Encoder
    from abruptlab.model.generate import generate
    from abruptlab.model.sites import record, record_shapes, replace, site_names, site_table
    from abruptlab.presets import PRESETS, preset
    from abruptlab.run.drop import Drop, find_drop
    from abruptlab.run.pretrained import load_pretrained, pretrained_run
    from abruptlab.run.run import Run
    from abruptlab.sweep.file import Sweep
    from abruptlab.task.matrices import Batch, sample
    from abruptlab.task.sequences import prompts, sequences
    from abruptlab.task.vocabulary import MASK, Vocabulary
    from abruptlab.training.loop import train

    __version__: str

_HOME = {
    "config": ("MatrixTask", "ModelConfig", "RunConfig", "TrainingConfig"),
    "model.decoder": ("Decoder",),
    "run.drop": ("Drop", "find_drop"),
    "model.encoder": ("Encoder",),
    "errors": ("AbruptlabError",),
    "experiments.ablation": ("measure_ablation", "measure_single_ablations", "measure_greedy_ablation"),
    "experiments.attention": ("measure_attention", "measure_attention_over_time"),
    "experiments.comparison": ("measure_comparison",),
    "experiments.components": ("measure_components",),
    "experiments.copying": ("measure_copying",),
    "experiments.embeddings": ("measure_embeddings", "measure_embeddings_over_time"),
    "experiments.examples": ("measure_examples",),
    "experiments.floor": ("measure_floor",),
    "experiments.generation": ("measure_generation", "measure_gpt_learning"),
    "experiments.losses": ("measure_loss_curves",),
    "experiments.methods": ("measure_methods",),
    "experiments.out_of_distribution": ("measure_out_of_distribution",),
    "experiments.mixture": ("measure_mixture",),
    "experiments.overview": ("measure_overview",),
    "experiments.patching": ("measure_patching", "measure_patching_maps"),
    "experiments.permutation": ("measure_permutation",),
    "experiments.probes": ("measure_probes",),
    "experiments.progress": ("measure_progress",),
    "experiments.sequence_attention": ("measure_sequence_attention",),
    "experiments.switching": ("measure_switching", "measure_switch"),
    "experiments.variants": ("measure_variants",),
    "figures.ablation": ("draw_single_ablations", "draw_greedy_ablation"),
    "figures.attention": (
        "draw_attention",
        "draw_attention_to_rows",
        "draw_attention_to_columns",
        "draw_attention_over_time",
        "draw_heads",
    ),
    "figures.comparison": ("draw_comparison", "draw_out_of_distribution"),
    "figures.embeddings": ("draw_embeddings", "draw_tokens_over_time", "draw_positions_over_time"),
    "figures.gpt": ("draw_gpt_learning", "draw_sequence_attention"),
    "figures.loss": ("draw_loss_curves",),
    "figures.matrices": ("draw_examples",),
    "figures.methods": ("draw_floor", "draw_closeness"),
    "figures.overview": ("draw_overview",),
    "figures.patching": ("draw_patching",),
    "figures.permutation": ("draw_permutation",),
    "figures.probes": ("draw_probes",),
    "figures.progress": ("draw_progress",),
    "figures.switching": ("draw_switching",),
    "complete.imputer": ("TransformerImputer",),
    "figures.variants": ("draw_variants", "draw_mixture"),
    "task.matrices": ("Batch", "sample"),
    "presets": ("PRESETS", "preset"),
    "run.pretrained": ("load_pretrained", "pretrained_run"),
    "run.run": ("Run",),
    "model.generate": ("generate",),
    "task.sequences": ("prompts", "sequences"),
    "model.sites": ("record", "record_shapes", "replace", "site_names", "site_table"),
    "sweep.file": ("Sweep",),
    "task.vocabulary": ("MASK", "Vocabulary"),
    "training.loop": ("train",),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [  # noqa: RUF022 - grouped by module
    "MatrixTask", "ModelConfig", "RunConfig", "TrainingConfig",
    "Decoder",
    "Drop", "find_drop",
    "Encoder",
    "AbruptlabError",
    "measure_ablation", "measure_single_ablations", "measure_greedy_ablation",
    "measure_attention", "measure_attention_over_time",
    "measure_comparison",
    "measure_copying",
    "measure_embeddings", "measure_embeddings_over_time",
    "measure_examples",
    "measure_floor",
    "measure_generation", "measure_gpt_learning",
    "measure_loss_curves",
    "measure_methods",
    "measure_out_of_distribution",
    "measure_overview",
    "measure_patching", "measure_patching_maps",
    "measure_permutation",
    "measure_probes",
    "measure_progress",
    "measure_sequence_attention",
    "measure_switching", "measure_switch",
    "measure_variants", "measure_mixture", "measure_components",
    "draw_single_ablations", "draw_greedy_ablation",
    "draw_attention", "draw_attention_to_rows", "draw_attention_to_columns", "draw_attention_over_time",
    "draw_heads",
    "draw_comparison", "draw_out_of_distribution",
    "draw_embeddings", "draw_tokens_over_time", "draw_positions_over_time",
    "draw_gpt_learning", "draw_sequence_attention",
    "draw_loss_curves",
    "draw_examples",
    "draw_floor", "draw_closeness",
    "draw_overview",
    "draw_patching",
    "draw_permutation",
    "draw_probes",
    "draw_progress",
    "draw_switching",
    "TransformerImputer",
    "draw_variants", "draw_mixture",
    "Batch", "sample",
    "PRESETS", "preset",
    "load_pretrained", "pretrained_run",
    "Run",
    "generate", "prompts", "sequences",
    "record", "record_shapes", "replace", "site_names", "site_table",
    "Sweep",
    "MASK", "Vocabulary",
    "train",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("abruptlab")
        except PackageNotFoundError:  # a source tree that is not installed
            return "source tree"
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'abruptlab' has no attribute {name!r}")
    return getattr(import_module(f"abruptlab.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
