"""Representation collapse as the follow-up paper's public code takes it (arXiv 2506.13688): of the states that the
read-out sees, behind the final LayerNorm, at the places of the answer that are not solved yet.

Its scripts leave a place out by hand, the first one of sums and the last one of a sum of numbers; here it is found.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from abruptlab.arguments import checked
from abruptlab.errors import RunError
from abruptlab.experiments.estimate import Estimate, over_matrices
from abruptlab.experiments.forward import recorded
from abruptlab.experiments.plateau import HALF
from abruptlab.experiments.result import Outlined, stack
from abruptlab.model.collapse import asked, mean_cosine
from abruptlab.model.decoder import Decoder
from abruptlab.model.generate import generate
from abruptlab.run.run import Run
from abruptlab.system.devices import choose_device
from abruptlab.task.answers import SequenceBatch
from abruptlab.task.held_out import held_out_of


@dataclass(frozen=True)
class UnsolvedCollapse(Outlined):
    """The collapse at some checkpoints, at the places that the first of them has not solved."""

    step: Int[np.ndarray, " step"]
    accuracy: Float[np.ndarray, " place"]  # of the first checkpoint, of what it writes
    unsolved: Bool[np.ndarray, " place"]  # right in less than half of the answers
    collapse: Estimate  # [step], mean cosine similarity of the states at two such places


@checked
@torch.no_grad()
def measure_unsolved_collapse(run: Run, examples: int = 256) -> UnsolvedCollapse:
    """The collapse in the middle of the plateau and at the end, on held-out sequences.

    Raises `CheckpointError` for a run without a drop, and `RunError` where fewer than two places are unsolved.
    """
    run.require("sequence")
    device, steps = choose_device(), run.resolve_all(["before-drop", "final"])
    batch = cast(SequenceBatch, held_out_of(run.config.task, examples))
    models = [run.load_decoder(step).to(device) for step in steps]
    written = generate(models[0], batch.prompts.to(device)).cpu()
    accuracy = (written == batch.answers).double().mean(0)
    unsolved = accuracy < HALF
    if unsolved.sum() < 2:
        raise RunError(f"expected two places of the answer that are not solved at step {steps[0]}")
    each = [mean_cosine(_states(model, run, batch)[:, unsolved]) for model in models]
    return UnsolvedCollapse(
        np.array(steps), accuracy.numpy(), unsolved.numpy(), stack([over_matrices(values) for values in each])
    )


def _states(model: Decoder, run: Run, batch: SequenceBatch) -> Float[torch.Tensor, "example place width"]:
    """What the read-out sees before each token of the answers, on the CPU."""
    name = f"blocks.{model.config.layers - 1}.resid_post"
    parts = recorded(model, run.objective.inputs(batch), [name])
    return torch.cat([model.final_norm(asked(states[name], run.objective)).cpu() for _, states in parts])
