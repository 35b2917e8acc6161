"""Linear probes of a decoder: what of the next token of the answer one linear map reads off its hidden states.

Before the drop the answer may stand in the states already, and the read-out not have found it: then a probe is right
where the model is not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from abruptlab.arguments import checked, require_count
from abruptlab.experiments.estimate import Estimate, pooled
from abruptlab.experiments.forward import predict, recorded
from abruptlab.experiments.held_out import held_out_examples
from abruptlab.experiments.probes import least_squares
from abruptlab.experiments.result import Outlined, stack
from abruptlab.model.collapse import asked
from abruptlab.model.decoder import Decoder
from abruptlab.run.run import Run, Steps
from abruptlab.system.devices import choose_device
from abruptlab.system.tracking import track
from abruptlab.task.base import Objective
from abruptlab.task.examples import Examples

SHOWN = 12  # checkpoints, unless told otherwise: each takes seconds


@dataclass(frozen=True)
class AnswerProbes(Outlined):
    """Shares of the answer's tokens that are right, on examples that no probe was fitted to, each given the true ones
    before it."""

    step: Int[np.ndarray, " step"]
    sites: Shaped[np.ndarray, " site"]  # names: the embeddings; of each layer the attention's output and both states
    right: Estimate  # [step, site] of the probe
    chance: Estimate  # [step, site] of one that is fitted to the answers of other examples
    model: Estimate  # [step] of the model itself
    drop: tuple[float, float]  # steps of the onset and the end of the drop; NaN: none

    @property
    def ahead(self) -> Float[np.ndarray, " step"]:
        """How much more of the answer the best probe of the states reads than the model writes, and than chance."""
        states = np.array(["attn" not in site for site in self.sites])
        best, chance = (each.mean[:, states].max(1) for each in (self.right, self.chance))
        return best - np.maximum(self.model.mean, chance)


@checked
def measure_answer_probes(
    run: Run, steps: Steps | None = None, train: int = 2048, matrices: int = 256, seed: int = 0
) -> AnswerProbes:
    """Probes fitted to `train` held-out examples and judged on `matrices` others, by default at some checkpoints until
    half of the plateau's length after the onset of the drop.

    A probe is least squares from a state and a constant to which of the tokens is the next one, the same for all places
    of the answer. Raises `RunError` unless the run's task is one of sequences, `CheckpointError` for a step without a
    checkpoint and `ConfigError` for less than one example, or than two to fit to: chance is others' answers.
    """
    require_count(train, "train", 2)
    require_count(matrices, "matrices")
    run.require("sequence")
    resolved = _around_the_drop(run) if steps is None else run.resolve_all(steps)
    both = held_out_examples(run, matrices + train, seed)
    test, training = both[:matrices], both[matrices:]
    each = [
        _probe(run.load_decoder(step).to(choose_device()), training, test, run.objective)
        for step in track(resolved, "checkpoints")
    ]
    right, chance, own = (stack(column) for column in zip(*each, strict=True))
    sites, drop = probed_sites(run.config.model.layers), run.drop
    moments = (np.nan, np.nan) if drop is None else (float(drop.onset), float(drop.end or np.nan))
    return AnswerProbes(np.array(resolved), np.array(sites), right, chance, own, moments)


def _around_the_drop(run: Run) -> list[int]:
    """`SHOWN` checkpoints, spread evenly in time. Raises `CheckpointError` if there is none."""
    saved = np.array([run.resolve(step) for step in run.steps or ["final"]])
    last = saved[-1] if run.drop is None else min(saved[-1], 1.5 * run.drop.onset)
    return sorted({int(saved[np.abs(saved - step).argmin()]) for step in np.linspace(saved[0], last, SHOWN)})


def probed_sites(layers: int) -> list[str]:
    """The residual stream, and what the attention, whose output the follow-up paper probes, adds to it."""
    parts = [f"blocks.{layer}.{part}" for layer in range(layers) for part in ("attn.out", "resid_mid", "resid_post")]
    return ["embed", *parts]


def _probe(
    model: Decoder, training: Examples, test: Examples, objective: Objective
) -> tuple[Estimate, Estimate, Estimate]:
    """Of each site, the share that its probe gets right and that of a probe of other examples' answers; the model's."""
    names = probed_sites(model.config.layers)
    states, unseen = (_states(model, batch, names, objective) for batch in (training, test))
    answers, truth = (batch.tokens[:, objective.answer :] for batch in (training, test))
    which = torch.nn.functional.one_hot(answers, objective.vocabulary_size).double()
    both = torch.stack([which, which.roll(1, 0)], -2)  # of a site one probe for each, by one decomposition
    given, read = both.flatten(0, 1), []
    for name in names:
        known = _with_one(states[name].double()).flatten(0, 1)
        probe = least_squares(known.mT @ known, known.mT @ given.flatten(1))
        said = _with_one(unseen[name].double()) @ probe
        read.append(said.unflatten(-1, given.shape[1:]).argmax(-1))
    right, chance = torch.stack(read).unbind(-1)
    own = asked(predict(model, objective.inputs(test)), objective).argmax(-1)
    return _share(right, truth), _share(chance, truth), _share(own, truth)


def _states(
    model: Decoder, batch: Examples, names: Sequence[str], objective: Objective
) -> dict[str, Float[Tensor, "example place width"]]:
    """What the places before the answer's tokens hold, on the CPU."""
    parts: dict[str, list[Tensor]] = {name: [] for name in names}
    for _, activations in recorded(model, objective.inputs(batch), names):
        for name in names:
            parts[name].append(asked(activations[name], objective).cpu())
    return {name: torch.cat(of_site) for name, of_site in parts.items()}


def _with_one(states: Float[Tensor, "*places width"]) -> Float[Tensor, "*places width_and_one"]:
    return torch.nn.functional.pad(states, (0, 1), value=1.0)


def _share(read: Int[Tensor, "*site example place"], truth: Int[Tensor, "example place"]) -> Estimate:
    return pooled((read == truth).float(), torch.ones_like(truth, dtype=torch.bool))
