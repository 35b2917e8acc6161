"""A model's parameters in named groups, to be switched between models or trained alone (figure 8).

Every parameter belongs to exactly one single group; the combinations have the modules of several.
"""

from collections.abc import Collection, Iterable

from torch.nn import Parameter

from abruptlab.arguments import choice
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
_ALL = tuple(module for modules in SINGLE.values() for module in modules)
COMBINATIONS: dict[str, tuple[str, ...]] = {  # → the modules
    "attention": ("attn.qkv", "attn.output"),
    # the token and positional embeddings with their LayerNorm, which the paper's public code trains together (figure 8)
    "embeddings": ("token_embedding", "position_embedding", "embed_norm"),
    # what is not attention, as the paper's text has it: of the layers, with the norm of the embeddings
    "layers-but-qkv": ("attn.output", "mlp", "embed_norm", "attn_norm", "mlp_norm", "final_norm"),
    # what is not attention, as its public code has it: all weights whose name in the stock model lacks "attention", so
    # that the attention's output projection and the LayerNorm behind it stay
    "not-attention": tuple(module for module in _ALL if not module.startswith("attn")),
    "all-but-qkv": tuple(module for module in _ALL if module != "attn.qkv"),
}
GROUPS: dict[str, tuple[str, ...]] = {**SINGLE, **COMBINATIONS}


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


def transplant(model: Model, finished: Model, names: Collection[str]) -> None:
    """Put the parameters of `finished` that have these names into `model` (figure 8).

    Raises `ConfigError` for models of different shapes.
    """
    theirs = dict(finished.named_parameters())
    ours = dict(model.named_parameters())
    new, old = ({name: [*each.shape] for name, each in side.items()} for side in (ours, theirs))
    if new != old:
        name = next(name for name in {**new, **old} if new.get(name) != old.get(name))
        raise ConfigError(
            "start: expected a run whose model has the sizes of this one, whose "
            f"{name} is {new.get(name, 'not there')}, got {old.get(name, 'none')}"
        )
    heads = [each.config.heads for each in (model, finished)]
    if heads[0] != heads[1] and any(".attn.qkv." in name for name in names):
        raise ConfigError(f"start: expected a run whose model has {heads[0]} heads, as this one, got {heads[1]}")
    masks = [each.config.mask_embedding for each in (model, finished)]
    if masks == ["zero", "trained"] and any("token_embedding" in name for name in names):
        raise ConfigError("start: expected a run whose mask_embedding is zero, as here, got trained")
    for name in names:
        ours[name].data.copy_(theirs[name].data)


def _modules(group: str) -> tuple[str, ...]:
    if group not in GROUPS:
        raise ConfigError(f"no group of parameters {group!r}; {choice(group, GROUPS)}")
    return GROUPS[group]
