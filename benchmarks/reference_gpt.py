"""The follow-up paper's loop (arXiv 2506.13688), re-created on a plain GPT.

What it does at each step, after the authors' public scripts: draw sequences on the host; train on them; write the
answers to 64 held-out prompts, token by token, with a pass over all tokens so far for each; compute accuracy and
repetition of what was written, and in one more pass the collapse of the last states and the attention's progress; read
all of it. It is fp32, with explicit attention and PyTorch's default Adam. Where a script could be slow for no reason of
principle (loops over sequences, say) this one is not.
"""

from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from abruptlab.config import RunConfig
from abruptlab.task.answers import SequenceBatch
from abruptlab.task.held_out import held_out_of
from abruptlab.task.sequence import SequenceTask
from abruptlab.training.measures import EXAMPLES
from abruptlab.training.state import initial_model


class PlainGpt(nn.Module):
    """A GPT with linear attention; parameters have the names of `Decoder`'s."""

    def __init__(self, config: RunConfig) -> None:
        super().__init__()
        model = config.model
        self.heads = model.heads
        tokens, places = config.objective.vocabulary_size, config.objective.places
        self.token_embedding = nn.Embedding(tokens, model.width)
        self.position_embedding = nn.Embedding(places, model.width)
        self.blocks = nn.ModuleList(_block(model.width, model.mlp_width) for _ in range(model.layers))
        self.final_norm = nn.LayerNorm(model.width)
        self.readout = nn.Linear(model.width, tokens, bias=False)

    def forward(
        self, tokens: Int[Tensor, "batch pos"]
    ) -> tuple[Float[Tensor, "batch pos token"], Float[Tensor, "batch pos width"], Float[Tensor, "batch head pos pos"]]:
        """Logits, the last states before their norm, and the last layer's attention."""
        places = tokens.shape[1]
        x = self.token_embedding(tokens) + self.position_embedding.weight[:places]
        after = torch.ones(places, places, dtype=torch.bool, device=tokens.device).triu(1)
        pattern = x
        for block in cast("list[nn.ModuleDict]", list(self.blocks)):
            attention, mlp = cast(nn.ModuleDict, block["attn"]), cast(nn.ModuleDict, block["mlp"])
            q, k, v = (
                part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
                for part in attention["qkv"](block["attn_norm"](x)).chunk(3, -1)
            )
            pattern = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(after, 0)
            x = x + attention["output"]((pattern @ v).transpose(1, 2).flatten(2))
            x = x + mlp["output"](F.gelu(mlp["input"](block["mlp_norm"](x)), approximate="tanh"))
        return self.readout(self.final_norm(x)), x, pattern


def _block(width: int, mlp_width: int) -> nn.ModuleDict:
    return nn.ModuleDict(
        {
            "attn_norm": nn.LayerNorm(width),
            "attn": nn.ModuleDict({"qkv": nn.Linear(width, 3 * width), "output": nn.Linear(width, width)}),
            "mlp_norm": nn.LayerNorm(width),
            "mlp": nn.ModuleDict({"input": nn.Linear(width, mlp_width), "output": nn.Linear(mlp_width, width)}),
        }
    )


class ReferenceGpt:
    """Trains from the same initial weights as ours, on sequences of its own, and measures on the same held-out ones."""

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        self.task = cast(SequenceTask, config.task)
        self.model = PlainGpt(config).to(device)
        self.model.load_state_dict(initial_model(config, device).state_dict())
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=config.training.learning_rate)
        self.random = torch.Generator().manual_seed(config.seed)
        self.held_out = cast(SequenceBatch, held_out_of(config.task, EXAMPLES)).to(device)

    def train(self) -> float:
        """One step; its loss."""
        prompts, answers = self.task.draw(self.config.training.batch, self.random)
        separators = torch.full((len(prompts), 1), self.task.separator)
        tokens = torch.cat([prompts, separators, answers], 1).to(self.device)
        self.optimizer.zero_grad()
        logits, _, _ = self.model(tokens[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        loss.backward()
        self.optimizer.step()
        return loss.item()

    @torch.no_grad()
    def measure(self) -> list[float]:
        """Accuracy, repetition, collapse and attention progress on the held-out sequences."""
        tokens = self.held_out.prompts
        for _ in range(self.task.answer_length):
            tokens = torch.cat([tokens, self.model(tokens)[0][:, -1:].argmax(-1)], 1)
        written = tokens[:, -self.task.answer_length :]
        _, states, pattern = self.model(self.held_out.tokens[:, :-1])
        first = self.task.prompt_length
        units = F.normalize(states[:, first:], dim=-1)
        places = units.shape[1]
        cosines = (units @ units.mT).sum((1, 2)) - places
        size = pattern[:, :, first:].abs()
        useful = F.pad(self.task.needs(self.held_out.prompts[:, :first]), (0, places))
        progress = (size * useful[:, None]).sum((2, 3)) / size.sum((2, 3))
        return [
            (written == self.held_out.answers).float().mean().item(),
            (written[:, 1:] == written[:, :-1]).float().mean().item(),
            (cosines / (places * (places - 1))).mean().item(),
            progress.mean().item(),
        ]
