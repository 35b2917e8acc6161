"""The fields of the optimisers reach them, and a large gradient is scaled down."""

from dataclasses import replace
from itertools import islice
from typing import Any

import pytest
import torch

from abruptlab.config import RunConfig
from abruptlab.presets import preset
from abruptlab.training.optimizers import build_optimizers
from abruptlab.training.state import initial_model, initial_state
from abruptlab.training.update import Update


def smoke(**training: Any) -> RunConfig:
    config = preset("smoke")
    return replace(config, training=replace(config.training, **training))


def one_step(config: RunConfig) -> list[torch.Tensor]:
    """The gradients of a step, as the optimiser saw them."""
    state = initial_state(config)
    [batch] = islice(config.task.stream(config.training.batch, config.seed), 1)
    Update(state, config, torch.device("cpu"))(batch)
    return [parameter.grad for parameter in state.model.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("name", ["adam", "adamw", "muon"])
def test_betas_and_eps(name: str) -> None:
    config = smoke(optimizer=name, betas=(0.8, 0.95), eps=1e-5)
    group = build_optimizers(config.training, initial_model(config))[-1].param_groups[0]
    assert (group["betas"], group["eps"]) == ((0.8, 0.95), 1e-5)


@pytest.mark.parametrize(("name", "field"), [("adamw", "weight_decay"), ("muon", "weight_decay"), ("sgd", "momentum")])
@pytest.mark.parametrize("value", [0.0, 0.25])
def test_decay_and_momentum_reach_the_optimiser(name: str, field: str, value: float) -> None:
    config = smoke(optimizer=name, **{field: value})
    group = build_optimizers(config.training, initial_model(config))[0].param_groups[0]
    assert group[field] == value


def test_clipping_keeps_the_direction_and_bounds_the_norm() -> None:
    free, kept, clipped = (one_step(smoke(clip_norm=norm)) for norm in (None, 1e3, 1e-3))
    norm = torch.nn.utils.get_total_norm(free)
    assert norm > 1e-2
    torch.testing.assert_close(kept, free, rtol=0, atol=0)
    torch.testing.assert_close(clipped, [grad * 1e-3 / norm for grad in free], rtol=1e-3, atol=1e-9)
