"""The optimisers of a run, and their state as named tensors for the checkpoint."""

from typing import Any

import torch
from torch import Tensor

from abruptlab.arguments import require
from abruptlab.config import TrainingConfig
from abruptlab.errors import CheckpointError, ConfigError
from abruptlab.model.build import Model

SHARE = "rate_share"  # of the learning rate, that a group of parameters has


def build_optimizers(config: TrainingConfig, model: Model) -> list[torch.optim.Optimizer]:
    """The optimisers that together train `model`: one, or for Muon two (it takes the layers' matrices only).

    Raises `ConfigError` for an optimiser that does not exist, and if this PyTorch has no Muon (it came with 2.9).
    """
    every = [parameter for parameter in model.parameters() if parameter.requires_grad]
    rate, decay = config.learning_rate, config.weight_decay
    adam: dict[str, Any] = {"betas": config.betas, "eps": config.eps, "fused": True}
    match config.optimizer:
        case "adam":
            return [torch.optim.Adam(every, lr=rate, **adam)]
        case "adamw":
            return [torch.optim.AdamW(every, lr=rate, weight_decay=decay, **adam)]
        case "sgd":
            return [torch.optim.SGD(every, lr=rate, momentum=config.momentum, fused=True)]
        case "muon":
            return _muon(config, model, every, adam)
        case other:
            raise ConfigError(f"no optimizer {other!r}")


def _muon(
    config: TrainingConfig, model: Model, every: list[torch.nn.Parameter], adam: dict[str, Any]
) -> list[torch.optim.Optimizer]:
    rate, decay = config.learning_rate, config.weight_decay
    require(hasattr(torch.optim, "Muon"), "optimizer muon", "PyTorch 2.9 or later", torch.__version__)
    matrices = [parameter for parameter in model.blocks.parameters() if parameter.ndim == 2 and parameter.requires_grad]
    chosen = {id(parameter) for parameter in matrices}
    others = [parameter for parameter in every if id(parameter) not in chosen]
    built: list[torch.optim.Optimizer] = []
    if matrices:
        scale = {"adam": "match_rms_adamw", "spectral": "original"}[config.muon_scale]
        built.append(torch.optim.Muon(matrices, lr=rate, weight_decay=decay, adjust_lr_fn=scale))
    if others:
        share = (config.other_learning_rate or rate) / rate
        built.append(torch.optim.Adam([{"params": others, SHARE: share}], lr=rate, **adam))
    return built


def set_learning_rate(optimizers: list[torch.optim.Optimizer], rate: float) -> None:
    """Give all parameters that rate, or their share of it: in place where it is a tensor, which a captured step reads
    (`cuda_graph`)."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            value = rate * group.get(SHARE, 1.0)
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(value)
            else:
                group["lr"] = value


def optimizer_tensors(optimizers: list[torch.optim.Optimizer]) -> dict[str, Tensor]:
    """All state, named `{optimizer}.{parameter}.{quantity}`, both counted from 0."""
    return {
        f"{index}.{parameter}.{quantity}": value
        for index, optimizer in enumerate(optimizers)
        for parameter, state in optimizer.state_dict()["state"].items()
        for quantity, value in state.items()
        if value is not None
    }


def restore_optimizers(optimizers: list[torch.optim.Optimizer], tensors: dict[str, Tensor]) -> None:
    """Put saved state back. Raises `CheckpointError` if it does not fit these optimisers."""
    states: list[dict[int, dict[str, Tensor]]] = [{} for _ in optimizers]
    try:
        for name, value in tensors.items():
            index, parameter, quantity = name.split(".")
            states[int(index)].setdefault(int(parameter), {})[quantity] = value
        for optimizer, state in zip(optimizers, states, strict=True):
            optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    except (ValueError, IndexError, KeyError) as error:
        raise CheckpointError(f"the optimizer state does not fit this run's optimizer: {error}") from None
