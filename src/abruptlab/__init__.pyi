"""The public names, each with its module: what `lazy_loader` imports when it is first used."""

__version__: str

from .complete.imputer import TransformerImputer as TransformerImputer
from .config import (
    MatrixTask as MatrixTask,
    ModelConfig as ModelConfig,
    RunConfig as RunConfig,
    TrainingConfig as TrainingConfig,
)
from .errors import AbruptlabError as AbruptlabError
from .experiments.ablation import (
    measure_ablation as measure_ablation,
    measure_greedy_ablation as measure_greedy_ablation,
    measure_single_ablations as measure_single_ablations,
)
from .experiments.announcement import measure_announcement as measure_announcement
from .experiments.answer_probes import measure_answer_probes as measure_answer_probes
from .experiments.attention import (
    measure_attention as measure_attention,
    measure_attention_over_time as measure_attention_over_time,
)
from .experiments.comparison import measure_comparison as measure_comparison
from .experiments.components import measure_components as measure_components
from .experiments.copying import measure_copying as measure_copying
from .experiments.embeddings import (
    measure_embeddings as measure_embeddings,
    measure_embeddings_over_time as measure_embeddings_over_time,
)
from .experiments.examples import measure_examples as measure_examples
from .experiments.falls import measure_falls as measure_falls
from .experiments.floor import measure_floor as measure_floor
from .experiments.generation import (
    measure_generation as measure_generation,
    measure_gpt_learning as measure_gpt_learning,
)
from .experiments.language_models import measure_language_models as measure_language_models
from .experiments.losses import measure_loss_curves as measure_loss_curves
from .experiments.methods import measure_methods as measure_methods
from .experiments.mixture import measure_mixture as measure_mixture
from .experiments.out_of_distribution import measure_out_of_distribution as measure_out_of_distribution
from .experiments.overview import measure_overview as measure_overview
from .experiments.patching import measure_patching as measure_patching, measure_patching_maps as measure_patching_maps
from .experiments.permutation import measure_permutation as measure_permutation
from .experiments.pivots import measure_pivots as measure_pivots
from .experiments.plateau import measure_plateau as measure_plateau
from .experiments.plateaus import measure_plateaus as measure_plateaus
from .experiments.probes import measure_probes as measure_probes
from .experiments.progress import measure_progress as measure_progress
from .experiments.sequence_attention import measure_sequence_attention as measure_sequence_attention
from .experiments.switching import measure_switch as measure_switch, measure_switching as measure_switching
from .experiments.variants import measure_variants as measure_variants
from .figures.ablation import (
    draw_greedy_ablation as draw_greedy_ablation,
    draw_single_ablations as draw_single_ablations,
)
from .figures.announcement import draw_announcement as draw_announcement
from .figures.answer_probes import draw_answer_probes as draw_answer_probes
from .figures.attention import (
    draw_attention as draw_attention,
    draw_attention_over_time as draw_attention_over_time,
    draw_attention_to_columns as draw_attention_to_columns,
    draw_attention_to_rows as draw_attention_to_rows,
    draw_heads as draw_heads,
)
from .figures.comparison import draw_comparison as draw_comparison, draw_out_of_distribution as draw_out_of_distribution
from .figures.embeddings import (
    draw_embeddings as draw_embeddings,
    draw_positions_over_time as draw_positions_over_time,
    draw_tokens_over_time as draw_tokens_over_time,
)
from .figures.gpt import draw_gpt_learning as draw_gpt_learning, draw_sequence_attention as draw_sequence_attention
from .figures.language_models import draw_language_models as draw_language_models
from .figures.loss import draw_loss_curves as draw_loss_curves
from .figures.matrices import draw_examples as draw_examples
from .figures.methods import draw_closeness as draw_closeness, draw_floor as draw_floor
from .figures.overview import draw_overview as draw_overview
from .figures.patching import draw_patching as draw_patching
from .figures.permutation import draw_permutation as draw_permutation
from .figures.pivots import draw_pivots as draw_pivots
from .figures.plateau import (
    draw_each_plateau as draw_each_plateau,
    draw_falls as draw_falls,
    draw_plateau as draw_plateau,
    draw_plateaus as draw_plateaus,
)
from .figures.probes import draw_probes as draw_probes
from .figures.progress import draw_progress as draw_progress
from .figures.switching import draw_switching as draw_switching
from .figures.variants import draw_mixture as draw_mixture, draw_variants as draw_variants
from .model.decoder import Decoder as Decoder
from .model.encoder import Encoder as Encoder
from .model.generate import generate as generate
from .model.sites import (
    record as record,
    record_shapes as record_shapes,
    replace as replace,
    site_names as site_names,
    site_table as site_table,
)
from .presets import PRESETS as PRESETS, preset as preset
from .run.drop import Drop as Drop, find_drop as find_drop
from .run.pretrained import load_pretrained as load_pretrained, pretrained_run as pretrained_run
from .run.run import Run as Run
from .sweep.file import Sweep as Sweep
from .task.matrices import Batch as Batch, sample as sample
from .task.sequences import prompts as prompts, sequences as sequences
from .task.vocabulary import MASK as MASK, Vocabulary as Vocabulary
from .training.loop import train as train
