"""Model switching: parts of the model before the drop in the model after it, and the other way round."""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Int

from abruptlab.arguments import checked, different
from abruptlab.errors import ConfigError
from abruptlab.experiments.estimate import Losses
from abruptlab.experiments.forward import loaded_model
from abruptlab.experiments.held_out import held_out_examples
from abruptlab.experiments.result import Outlined, stack
from abruptlab.experiments.scores import Shown, score
from abruptlab.model.build import Model
from abruptlab.model.groups import GROUPS, parameters_of
from abruptlab.run.run import Run, several
from abruptlab.system.devices import choose_device
from abruptlab.system.tracking import track
from abruptlab.task.counter import generator
from abruptlab.task.held_out import HELD_OUT

Shape = TypeVar("Shape", bound=Model)  # of two models


@dataclass(frozen=True)
class Switching(Outlined):
    """Every group of parameters, single or combined, switched between two models, both ways."""

    groups: tuple[str, ...]  # of `groups.GROUPS`
    shown: Shown
    steps: Int[np.ndarray, " model"]  # the two models: before, after
    intact: Losses  # [model]
    switched: Losses  # [model, group] of that model with the group of the other one
    random: Losses  # [model, group] of that model with the group of an untrained one


@dataclass(frozen=True)
class Switch(Outlined):
    """Some groups of parameters of one model put into another."""

    groups: tuple[str, ...]
    into: int  # step of the model that gets them
    source: int  # step of the model that they are from
    intact: Losses  # [into and source]
    switched: Losses  # of `into` with the groups of `source`


def switch(into: Shape, source: Shape, groups: Iterable[str]) -> Shape:
    """A copy of `into` with the parameters of these groups (`groups.GROUPS`) from `source`.

    Raises `ConfigError` for a group that does not exist and for models of different shapes.
    """
    switched, groups = copy.deepcopy(into), list(groups)
    theirs, ours = parameters_of(source, groups), parameters_of(switched, groups)
    if {name: new.shape for name, new in theirs.items()} != {name: old.shape for name, old in ours.items()}:
        raise ConfigError(f"expected two models of one shape to switch {', '.join(groups)} between")
    with torch.no_grad():
        for name, parameter in ours.items():
            parameter.copy_(theirs[name])
    return switched


@checked
def measure_switching(
    run: Run,
    before: int | str = "before-drop",
    after: int | str = "final",
    groups: str | Sequence[str] = tuple(GROUPS),
    matrices: int = 512,
    seed: int = 0,
) -> Switching:
    """Each group of parameters (all, unless told otherwise) of either model put into the other (section 'model
    switching'), and, for comparison, that of an untrained one.

    Raises `CheckpointError` for a step without a checkpoint and `ConfigError` for a group that does not exist, or is
    there twice.
    """
    groups = different("groups", several(groups))
    each = [loaded_model(run, before), loaded_model(run, after)]
    steps, models = [step for step, _ in each], [model for _, model in each]
    batch, stranger = held_out_examples(run, matrices, seed), copy.deepcopy(models[0]).cpu()  # where the generator is
    stranger.initialise(generator(seed, HELD_OUT, 5))
    stranger.to(choose_device())

    def measured(model: Model) -> Losses:
        return score(model, batch, run.objective).losses

    def transplanted(into: Model, source: Model) -> Losses:
        return stack([measured(switch(into, source, [group])) for group in track(groups, "groups")])

    return Switching(
        groups=tuple(groups),
        shown=Shown.of(run.objective),
        steps=np.array(steps),
        intact=stack([measured(model) for model in models]),
        switched=stack([transplanted(*models), transplanted(*models[::-1])]),
        random=stack([transplanted(into, stranger) for into in models]),
    )


@checked
def measure_switch(
    run: Run,
    groups: str | Sequence[str],
    source: int | str = "before-drop",
    into: int | str = "final",
    matrices: int = 512,
    seed: int = 0,
) -> Switch:
    """These groups of parameters, together, of one checkpoint put into another.

    Raises `ConfigError` for no group, one that does not exist or is there twice, and `CheckpointError` for a step
    without a checkpoint.
    """
    groups = different("groups", several(groups))
    (into, receiver), (source, giver) = loaded_model(run, into), loaded_model(run, source)
    batch, objective = held_out_examples(run, matrices, seed), run.objective
    return Switch(
        groups=tuple(groups),
        into=into,
        source=source,
        intact=stack([score(model, batch, objective).losses for model in (receiver, giver)]),
        switched=score(switch(receiver, giver, groups), batch, objective).losses,
    )
