"""The paper's GPT (figures 11 and 12), with every activation at a named site.

It is GPT-2 without dropout, as minGPT builds it: pre-LayerNorm, learned absolute positions, and a read-out of its own,
without bias. A test holds outputs and gradients against `GPT2LMHeadModel` with untied embeddings.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from abruptlab.config import ModelConfig
from abruptlab.model.encoder import Mlp
from abruptlab.model.sites import Site

LAYER_NORM_EPS = 1e-5  # GPT-2's


class Past:
    """The keys and values of one layer at the places that the model has seen; empty at first."""

    def __init__(self) -> None:
        self._keys_values: Float[Tensor, "2 batch head pos d_head"] | None = None

    def __len__(self) -> int:
        return 0 if self._keys_values is None else self._keys_values.shape[3]

    def extend(self, new: Float[Tensor, "2 batch head new d_head"]) -> Float[Tensor, "2 batch head pos d_head"]:
        """Append the keys and values of new places; returns those of all."""
        past = self._keys_values
        self._keys_values = new if past is None else torch.cat([past, new], 3)
        return self._keys_values


class CausalAttention(nn.Module):
    """Multi-head self-attention to the places so far: softmax, or linear.

    Linear attention has the same scores without the softmax: z_t = Σ_{s ≤ t} (q_t·k_s / √d_head) v_s, a sum that is
    not divided by the number of places.
    """

    def __init__(self, width: int, heads: int, kind: Literal["softmax", "linear"]) -> None:
        super().__init__()
        self.heads = heads
        self.kind = kind
        self.qkv = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.pattern = Site()  # [batch, head, query, key], zero for keys after the query; softmax rows sum to one
        self.z = Site()  # [batch, pos, head, d_head], the heads' outputs before the output projection

    def forward(
        self, x: Float[Tensor, "batch pos width"], past: Past | None = None
    ) -> Float[Tensor, "batch pos width"]:
        q, *kv = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        k, v = kv if past is None else past.extend(torch.stack(kv))
        if self.kind == "softmax" and not self.pattern.touched:
            whole = q.shape[2] == k.shape[2]
            z = F.scaled_dot_product_attention(q, k, v, None if whole else _visible(q, k), is_causal=whole)
        else:
            z = self.pattern(self._pattern(q, k)) @ v
        return self.output(self.z(z.transpose(1, 2)).flatten(2))

    def _pattern(
        self, q: Float[Tensor, "batch head query d_head"], k: Float[Tensor, "batch head key d_head"]
    ) -> Float[Tensor, "batch head query key"]:
        scores, visible = q * q.shape[-1] ** -0.5 @ k.mT, _visible(q, k)
        if self.kind == "softmax":
            return scores.masked_fill(~visible, -math.inf).softmax(-1)
        return scores.masked_fill(~visible, 0)


def _visible(
    q: Float[Tensor, "batch head query d_head"], k: Float[Tensor, "batch head key d_head"]
) -> Bool[Tensor, "query key"]:
    """Whether a key is not after a query; the queries are the last of the places."""
    queries, keys = q.shape[2], k.shape[2]
    return torch.ones(queries, keys, dtype=torch.bool, device=q.device).tril(keys - queries)


class Block(nn.Module):
    """One pre-LayerNorm transformer layer: x ← x + attention(norm(x)), x ← x + mlp(norm(x))."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attn_norm = nn.LayerNorm(config.width, eps=LAYER_NORM_EPS)
        self.attn = CausalAttention(config.width, config.heads, config.attention)
        self.resid_mid = Site()  # [batch, pos, width], after the attention
        self.mlp_norm = nn.LayerNorm(config.width, eps=LAYER_NORM_EPS)
        self.mlp = Mlp(config.width, config.mlp_width, gelu="tanh")
        self.resid_post = Site()  # [batch, pos, width], the layer's output

    def forward(
        self, x: Float[Tensor, "batch pos width"], past: Past | None = None
    ) -> Float[Tensor, "batch pos width"]:
        x = self.resid_mid(x + self.attn(self.attn_norm(x), past))
        return self.resid_post(x + self.mlp(self.mlp_norm(x)))


class Decoder(nn.Module):
    """The GPT of the paper (figures 11 and 12): tokens in, at each place the logits of the token after it out.

    Sites: `embed`, and for each layer i `blocks.{i}.attn.pattern`, `.attn.z`, `.resid_mid`, `.mlp.post`,
    `.resid_post`; their shapes stand beside their declarations.
    """

    def __init__(self, config: ModelConfig, vocabulary_size: int, positions: int) -> None:
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(vocabulary_size, config.width)
        self.position_embedding = nn.Embedding(positions, config.width)
        self.embed = Site()  # [batch, pos, width]
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
        x = self.token_embedding(tokens) + self.position_embedding.weight[start : start + tokens.shape[1]]
        x = self.embed(x)
        for layer, block in enumerate(self.blocks):
            x = block(x, past[layer] if past else None)
        return self.readout(self.final_norm(x))

    def new_past(self) -> list[Past]:
        """An empty past for every layer."""
        return [Past() for _ in self.blocks]
