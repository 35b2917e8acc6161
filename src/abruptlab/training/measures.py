"""What is measured in the course of a training: what the model writes, its hidden states and its attention.

These are the follow-up paper's measures (arXiv 2506.13688), for tasks of sequences, always on the same held-out
examples.
"""

from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from abruptlab.config import RunConfig
from abruptlab.model.build import Model
from abruptlab.model.collapse import collapse_and_attention
from abruptlab.model.decoder import Decoder
from abruptlab.model.emphasis import emphasised
from abruptlab.model.generate import generate
from abruptlab.run.measures import MEASURES
from abruptlab.task.answers import SequenceBatch
from abruptlab.task.held_out import held_out_of

EXAMPLES = 64  # as in the authors' scripts


class Measures:
    """The measures of a run."""

    def __init__(self, config: RunConfig, examples: int = EXAMPLES) -> None:
        self._objective = config.objective
        self._spared = config.training.useful_spared
        self._batch = cast(SequenceBatch, held_out_of(config.task, examples))

    @torch.no_grad()
    def of(self, model: Model, emphasis: float = 1.0) -> Float[Tensor, " value"]:
        """`MEASURES` of a model, with the useful attention times `emphasis`, and after them the accuracy of each place
        of the answer; on the model's device, and nothing here waits for it."""
        device = model.token_embedding.weight.device
        batch = self._batch.to(device)
        changed = emphasised(model, self._objective, batch, emphasis, self._spared)
        with torch.compiler.set_stance("force_eager"), changed:
            written = generate(cast(Decoder, model), batch.prompts)
            collapse, attention = collapse_and_attention(model, batch, self._objective)
        right = (written == batch.answers).float()
        values = {
            "accuracy": right.mean(),
            "whole": right.amin(1).mean(),
            "repetition": repetition(written),
            "collapse": collapse[-1].mean().float(),
            "attention": attention.mean().float(),
        }
        return torch.cat([torch.stack([values[name] for name in MEASURES]), right.mean(0)])


def repetition(written: Int[Tensor, "example place"]) -> Float[Tensor, ""]:
    """Repetition bias: the share of neighbours that are the same token; NaN of a single place."""
    return (written[:, 1:] == written[:, :-1]).float().mean()
