"""What training changes, and what it starts from."""

from dataclasses import dataclass

import torch

from abruptlab.config import RunConfig, StartConfig
from abruptlab.errors import ConfigError, RunError
from abruptlab.model.build import Model, new_model
from abruptlab.model.groups import parameters_of, transplant
from abruptlab.run.pretrained import find_run
from abruptlab.run.run import Run
from abruptlab.task.counter import generator
from abruptlab.training.optimizers import build_optimizers


@dataclass
class TrainingState:
    """All that a training step changes."""

    model: Model
    optimizers: list[torch.optim.Optimizer]
    step: int = 0  # updates made


def initial_state(config: RunConfig, device: torch.device | str = "cpu", begun: bool = False) -> TrainingState:
    """The state at step 0. Raises as `initial_model` does."""
    model = initial_model(config, device, begun)
    return TrainingState(model, build_optimizers(config.training, model))


def initial_model(config: RunConfig, device: torch.device | str = "cpu", begun: bool = False) -> Model:
    """The run's model at step 0. The weights are drawn on the CPU: every device starts from the same ones. Of a run
    that has `begun`, a checkpoint has all weights, and the run that they were taken from may be gone.

    Raises `RunError`, `CheckpointError` or `ConfigError` for a `start` whose run, checkpoint or sizes are not there.
    """
    model = new_model(config)
    model.initialise(generator(config.seed, 2))
    start = config.start
    every, trained = dict(model.named_parameters()).keys(), parameters_of(model, start.trained).keys()
    if start.run and not begun:
        taken = parameters_of(model, start.taken).keys() if start.taken else every - trained
        transplant(model, _parent(start).load(start.step), taken)
    for name in parameters_of(model, start.frozen).keys() | (every - trained if trained else set()):
        model.get_parameter(name).requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError(f"start: expected some part that is trained, got {start}")
    return model.to(device)


def _parent(start: StartConfig) -> Run:
    """The run whose weights another one starts from. Raises `RunError` for a moment of a run that is not at its end:
    trained on, it would have another one there."""
    run = find_run(start.run)
    if not (start.step.isdecimal() or run.finished):
        last = f"it has come to step {run.steps[-1]}" if run.steps else "it has no checkpoint"
        raise RunError(
            f"start.step {start.step}: expected {run.folder} to be finished, {last}: name a step by its number"
        )
    return run
