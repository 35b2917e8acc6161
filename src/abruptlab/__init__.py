"""abruptlab: train a transformer on matrix completion, catch the sudden drop, see what changed inside.

The public names are imported when first used, so that `import abruptlab` (and the command line) is instant.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from abruptlab.config import MatrixTask, ModelConfig, RunConfig, TrainingConfig
    from abruptlab.drop import Drop, find_drop
    from abruptlab.encoder import Encoder
    from abruptlab.errors import AbruptlabError
    from abruptlab.matrices import Batch, sample
    from abruptlab.presets import PRESETS, preset
    from abruptlab.pretrained import load_pretrained, pretrained_run
    from abruptlab.runs import Run
    from abruptlab.sites import record, replace, site_names
    from abruptlab.tokens import MASK, Vocabulary
    from abruptlab.training import train

_HOME = {
    "config": ("MatrixTask", "ModelConfig", "RunConfig", "TrainingConfig"),
    "drop": ("Drop", "find_drop"),
    "encoder": ("Encoder",),
    "errors": ("AbruptlabError",),
    "matrices": ("Batch", "sample"),
    "presets": ("PRESETS", "preset"),
    "pretrained": ("load_pretrained", "pretrained_run"),
    "runs": ("Run",),
    "sites": ("record", "replace", "site_names"),
    "tokens": ("MASK", "Vocabulary"),
    "training": ("train",),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [  # noqa: RUF022 - grouped by module
    "MatrixTask", "ModelConfig", "RunConfig", "TrainingConfig",
    "Drop", "find_drop",
    "Encoder",
    "AbruptlabError",
    "Batch", "sample",
    "PRESETS", "preset",
    "load_pretrained", "pretrained_run",
    "Run",
    "record", "replace", "site_names",
    "MASK", "Vocabulary",
    "train",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'abruptlab' has no attribute {name!r}")
    return getattr(import_module(f"abruptlab.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
