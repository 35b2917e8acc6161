"""What encoder and decoder are made of: attention and the position-wise network, with a site at every activation."""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from abruptlab.arguments import shown, shown_with_type
from abruptlab.errors import DataError
from abruptlab.model.kernels import attention
from abruptlab.model.sites import Site


def embedded(
    tokens: Int[Tensor, "batch pos"], embedding: nn.Embedding, positions: Float[Tensor, "places width"], start: int = 0
) -> Float[Tensor, "batch pos width"]:
    """Token embeddings plus those of the places from `start` on.

    Raises `DataError` for what are no token ids, or more places than there are embeddings for; on a CPU, where looking
    costs nothing, also for an id beyond the vocabulary.
    """
    ids = isinstance(tokens, Tensor) and tokens.ndim == 2 and tokens.dtype in (torch.int64, torch.int32)
    if not ids or start + tokens.shape[1] > len(positions):
        known = f"token ids [batch, place] (a Tensor of int64 or int32) at places 0 to {len(positions) - 1}"
        got = shown(tokens) if isinstance(tokens, Tensor) else shown_with_type(tokens)
        suffix = f" from place {start} on" if start else ""
        raise DataError(f"expected {known}, got {got}{suffix}")
    try:
        x = embedding(tokens)
    except IndexError:
        last = embedding.num_embeddings - 1
        raise DataError(f"expected token ids 0 to {last}, got some from {tokens.min()} to {tokens.max()}") from None
    return x + positions[start : start + tokens.shape[1]]


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


class Attention(nn.Module):
    """Multi-head self-attention: to all places, or (`causal`) to the places so far; softmax, or linear.

    Linear attention has the same scores without the softmax: z_t = Σ_{s ≤ t} (q_t·k_s / √d_head) v_s, a sum that is
    not divided by the number of places. Query, key and value share one product; rows are in that order.

    What is inside is computed step by step where one of its sites is touched, and else by a kernel.
    """

    def __init__(
        self, width: int, heads: int, causal: bool = False, kind: Literal["softmax", "linear"] = "softmax"
    ) -> None:
        super().__init__()
        self.heads = heads
        self.causal = causal
        self.kind = kind
        self.qkv = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.q = Site("batch, pos, head, d_head", "queries", "attn.hook_q")
        self.k = Site("batch, pos, head, d_head", "keys", "attn.hook_k")
        self.v = Site("batch, pos, head, d_head", "values", "attn.hook_v")
        after = f"; {'−∞' if kind == 'softmax' else '0'} for keys after the query" if causal else ""
        self.scores = Site(
            "batch, head, query, key", f"q·k/√d_head, before the softmax{after}", "attn.hook_attn_scores"
        )
        after = "; 0 for keys after the query, and with linear attention perhaps negative" if causal else ""
        self.pattern = Site("batch, head, query, key", f"attention weights{after}", "attn.hook_pattern")
        self.z = Site("batch, pos, head, d_head", "the heads' outputs, before the output projection", "attn.hook_z")
        self.result = Site(
            "batch, pos, head, width", "each head's part of the output, without the bias", "attn.hook_result"
        )
        self.out = Site("batch, pos, width", "the output", "hook_attn_out")

    def forward(
        self, x: Float[Tensor, "batch pos width"], past: Past | None = None
    ) -> Float[Tensor, "batch pos width"]:
        qkv = self.qkv(x)
        inside = (self.q, self.k, self.v, self.scores, self.pattern)
        if past is not None or self.kind == "linear" or any(site.touched for site in inside):
            z = self._step_by_step(qkv, past)
        else:
            z = attention(qkv, self.heads, self.causal)
        z = self.z(z)
        if not self.result.touched:
            return self.out(self.output(z.flatten(2)))
        by_head = self.output.weight.unflatten(1, (self.heads, -1))  # [width, head, d_head]
        result = self.result(torch.einsum("bphd,whd->bphw", z, by_head))
        return self.out(result.sum(2) + self.output.bias)

    def _step_by_step(
        self, qkv: Float[Tensor, "batch pos three_times_width"], past: Past | None
    ) -> Float[Tensor, "batch pos head d_head"]:
        parts = qkv.unflatten(-1, (3, self.heads, -1)).unbind(2)
        q, *kv = (site(part).transpose(1, 2) for site, part in zip((self.q, self.k, self.v), parts, strict=True))
        k, v = kv if past is None else past.extend(torch.stack(kv))
        scores = q * q.shape[-1] ** -0.5 @ k.mT
        if self.causal:
            scores = scores.masked_fill(~_visible(scores), -math.inf if self.kind == "softmax" else 0)
        scores = self.scores(scores)
        pattern = self.pattern(scores.softmax(-1) if self.kind == "softmax" else scores)
        return (pattern @ v).transpose(1, 2)


def _visible(scores: Float[Tensor, "batch head query key"]) -> Bool[Tensor, "query key"]:
    """Whether a key is not after a query; the queries are the last of the places."""
    queries, keys = scores.shape[2:]
    return torch.ones(queries, keys, dtype=torch.bool, device=scores.device).tril(keys - queries)


class Mlp(nn.Module):
    """The position-wise network: width → mlp_width, GELU (exact, or GPT-2's approximation with tanh), → width."""

    def __init__(self, width: int, mlp_width: int, gelu: Literal["none", "tanh"] = "none") -> None:
        super().__init__()
        self.gelu = gelu
        self.input = nn.Linear(width, mlp_width)
        self.output = nn.Linear(mlp_width, width)
        self.pre = Site("batch, pos, mlp_width", "before the GELU", "mlp.hook_pre")
        self.post = Site("batch, pos, mlp_width", "after the GELU", "mlp.hook_post")
        self.out = Site("batch, pos, width", "the output", "hook_mlp_out")

    def forward(self, x: Float[Tensor, "batch pos width"]) -> Float[Tensor, "batch pos width"]:
        return self.out(self.output(self.post(F.gelu(self.pre(self.input(x)), approximate=self.gelu))))
