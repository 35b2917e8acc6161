"""A model's parameters in named groups, to be switched between models or trained alone (figure 8).

Every parameter belongs to exactly one single group; the combinations are unions of those.
"""

from collections.abc import Iterable

from torch.nn import Parameter

from abruptlab.errors import ConfigError
from abruptlab.model.build import Model

SINGLE: dict[str, tuple[str, ...]] = {  # → the modules that hold the parameters, in every layer
    "token-embeddings": ("token_embedding",),
    "positional-embeddings": ("position_embedding",),
    "attention-qkv": ("attn.qkv",),  # what the paper's model switching calls attention
    "attention-output": ("attn.output",),
    "mlp": ("mlp",),
    "layer-norms": ("embed_norm", "attn_norm", "mlp_norm", "final_norm"),
    "read-out": ("readout",),
}
COMBINATIONS: dict[str, tuple[str, ...]] = {  # → the single groups that make them up
    "attention": ("attention-qkv", "attention-output"),
    # what is not attention, as the paper's text has it: of the layers, with the norm of the embeddings
    "layers-but-qkv": ("attention-output", "mlp", "layer-norms"),
    # what is not attention, as the paper's public code has it: with the embeddings and the read-out
    "all-but-qkv": tuple(name for name in SINGLE if name != "attention-qkv"),
}
GROUPS: dict[str, tuple[str, ...]] = {  # all of them → the modules
    **SINGLE,
    **{name: tuple(module for part in parts for module in SINGLE[part]) for name, parts in COMBINATIONS.items()},
}


def parameters_of(model: Model, names: Iterable[str]) -> dict[str, Parameter]:
    """The parameters of some groups by their names in the model, in its order, each once.

    Raises `ConfigError`, listing the groups, for a name that is none.
    """
    modules = [module for name in names for module in _modules(name)]
    return {
        name: parameter
        for name, parameter in model.named_parameters()
        if any(f".{module}." in f".{name}" for module in modules)
    }


def transplant(model: Model, finished: Model, trained: Iterable[str]) -> None:
    """Put all parameters of `finished` but those of the groups `trained` into `model`, and freeze them there
    (figure 8); without such groups put in all, and freeze none.

    Raises `ConfigError` for models of different shapes, and for groups that do not exist.
    """
    kept = parameters_of(model, trained)
    theirs = dict(finished.named_parameters())
    ours = dict(model.named_parameters())
    if {name: parameter.shape for name, parameter in ours.items()} != {name: old.shape for name, old in theirs.items()}:
        raise ConfigError("start: expected a run whose model has the sizes of this one")
    for name, parameter in ours.items():
        if name not in kept:
            parameter.data.copy_(theirs[name].data)
            parameter.requires_grad_(not kept)


def _modules(group: str) -> tuple[str, ...]:
    if group not in GROUPS:
        raise ConfigError(f"no group of parameters {group!r}; there are: {', '.join(GROUPS)}")
    return GROUPS[group]
