"""The paper's GPT (figures 11 and 12), with every activation at a named site.

It is GPT-2 without dropout, as minGPT builds it: pre-LayerNorm, learned absolute positions, and a read-out of its own,
without bias. A test holds outputs and gradients against `GPT2LMHeadModel` with untied embeddings.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from abruptlab.arguments import require_count
from abruptlab.config import ModelConfig
from abruptlab.model.layers import Attention, Mlp, Past, embedded
from abruptlab.model.sites import Site

LAYER_NORM_EPS = 1e-5  # GPT-2's


class Block(nn.Module):
    """One pre-LayerNorm transformer layer: x ← x + attention(norm(x)), x ← x + mlp(norm(x))."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.resid_pre = Site("batch, pos, width", "the layer's input", "hook_resid_pre")
        self.attn_norm = nn.LayerNorm(config.width, eps=LAYER_NORM_EPS)
        self.attn = Attention(config.width, config.heads, causal=True, kind=config.attention)
        self.resid_mid = Site("batch, pos, width", "the sum after the attention", "hook_resid_mid")
        self.mlp_norm = nn.LayerNorm(config.width, eps=LAYER_NORM_EPS)
        self.mlp = Mlp(config.width, config.mlp_width, gelu="tanh")
        self.resid_post = Site("batch, pos, width", "the layer's output, a sum", "hook_resid_post")

    def forward(
        self, x: Float[Tensor, "batch pos width"], past: Past | None = None
    ) -> Float[Tensor, "batch pos width"]:
        x = self.resid_pre(x)
        x = self.resid_mid(x + self.attn(self.attn_norm(x), past))
        return self.resid_post(x + self.mlp(self.mlp_norm(x)))


class Decoder(nn.Module):
    """The GPT of the paper (figures 11 and 12): tokens in, at each place the logits of the token after it out.

    Every activation is a site (`sites.site_table`).
    """

    def __init__(self, config: ModelConfig, vocabulary_size: int, positions: int) -> None:
        """Raises `ConfigError` for no vocabulary or no places."""
        require_count(vocabulary_size, "vocabulary_size")
        require_count(positions, "positions")
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(vocabulary_size, config.width)
        self.position_embedding = nn.Embedding(positions, config.width)
        self.embed = Site("batch, pos, width", "token + position embedding", "blocks.0.hook_resid_pre")
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.final_norm = nn.LayerNorm(config.width, eps=LAYER_NORM_EPS)
        self.readout = nn.Linear(config.width, vocabulary_size, bias=False)

    def initialise(self, generator: torch.Generator) -> None:
        """Draw all weights anew as GPT-2 does: N(0, init_std²), the read-out's too, biases zero, norms identity; what
        is added to the residual stream starts smaller by √(2·layers), as that many parts are summed."""
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                added = name.endswith(("attn.output", "mlp.output"))
                std = self.config.init_std / (math.sqrt(2 * self.config.layers) if added else 1)
                nn.init.normal_(module.weight, std=std, generator=generator)
                if isinstance(module, nn.Linear) and module is not self.readout:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.LayerNorm):
                module.reset_parameters()

    def forward(
        self, tokens: Int[Tensor, "batch pos"], past: Sequence[Past] | None = None
    ) -> Float[Tensor, "batch pos token"]:
        """The logits of the token after each of `tokens`.

        With `past` (one for each layer, from `new_past`), the tokens follow those of earlier calls, whose keys and
        values it holds, and are added to it.
        """
        start = len(past[0]) if past else 0
        x = self.embed(embedded(tokens, self.token_embedding, self.position_embedding.weight, start))
        for layer, block in enumerate(self.blocks):
            x = block(x, past[layer] if past else None)
        return self.read(x)

    def read(self, x: Float[Tensor, "batch pos width"]) -> Float[Tensor, "batch pos token"]:
        """The logits that stand in the last layer's output."""
        return self.readout(self.final_norm(x))

    def new_past(self) -> list[Past]:
        """An empty past for every layer."""
        return [Past() for _ in self.blocks]
