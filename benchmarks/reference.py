"""The reference's training step, re-created on the stock `BertModel`.

What it does at each step, after the authors' public code: draw matrices on the host and tokenise them; train on them;
evaluate on the same matrices; evaluate on 64 fresh ones; read L, L_obs and L_mask of each of the three passes. It is
fp32, with explicit attention, without dropout, with PyTorch's default Adam. Where a script could be slow for no reason
of principle (loops over entries, say) this one is not: drawing and tokenising are vectorised.

The authors patched the token types out of `BertModel`; here one zeroed token type stays, which is one addition.
"""

from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

# Imported here, not when the model is made: memory is measured from after the imports, which are the same for all.
from transformers import BertModel

from abruptlab.config import RunConfig
from abruptlab.model.encoder import Encoder
from abruptlab.model.huggingface import to_huggingface
from abruptlab.task.vocabulary import MASK
from abruptlab.training.state import initial_model
from benchmarks.clock import seconds

FRESH = 64  # matrices of the second evaluation


class Reference:
    """Trains from the same initial weights as ours, on matrices of its own."""

    warm_up = 1

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        self.config = config
        self.device = device
        stock = to_huggingface(cast(Encoder, initial_model(config, device)))
        self.bert: BertModel = stock.bert
        self.readout: torch.nn.Linear = stock.classifier
        self.bert.set_attn_implementation("eager")
        parameters = [*self.bert.parameters(), *self.readout.parameters()]
        self.optimizer = torch.optim.Adam(parameters, lr=config.training.learning_rate)
        self.random = np.random.default_rng(config.seed)

    def __call__(self, steps: int) -> float:
        """Seconds a step, over `steps` steps."""
        return seconds(lambda: [self.step() for _ in range(steps)], self.device) / steps

    def step(self) -> list[tuple[float, float, float]]:
        """One step; L, L_obs and L_mask of its three passes."""
        matrices = self._draw(self.config.training.batch)
        self.bert.train()
        self.optimizer.zero_grad()
        losses = self._losses(*matrices)
        losses[0].backward()
        self.optimizer.step()
        read = [_read(losses)]
        self.bert.eval()
        with torch.no_grad():
            read.append(_read(self._losses(*matrices)))
            read.append(_read(self._losses(*self._draw(FRESH))))
        return read

    def _draw(self, matrices: int) -> tuple[Tensor, Tensor, Tensor]:
        task = self.config.matrices
        (m, n), scale = task.sizes[0], 10**task.decimals
        u = self.random.uniform(-1, 1, (matrices, m, task.rank))
        v = self.random.uniform(-1, 1, (matrices, n, task.rank))
        values = np.round(u @ v.swapaxes(1, 2), task.decimals).reshape(matrices, m * n)
        hidden = self.random.random(values.shape) < task.mask_probability
        ids = np.rint((values + task.limit) * scale).astype(np.int64) + 1
        tokens = torch.from_numpy(np.where(hidden, MASK, ids)).to(self.device)
        return tokens, torch.from_numpy(values).float().to(self.device), torch.from_numpy(hidden).to(self.device)

    def _losses(self, tokens: Tensor, values: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        predictions = self.readout(self.bert(tokens).last_hidden_state).squeeze(-1)
        return (
            F.mse_loss(predictions, values),
            F.mse_loss(predictions[~hidden], values[~hidden]),
            F.mse_loss(predictions[hidden], values[hidden]),
        )


def _read(losses: tuple[Tensor, Tensor, Tensor]) -> tuple[float, float, float]:
    loss, observed, masked = losses
    return loss.item(), observed.item(), masked.item()
