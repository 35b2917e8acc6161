"""The paper's BERT encoder, with every activation at a named site.

It is `BertModel` without token types, pooler and dropout, plus a linear read-out to one real number per token
(`huggingface` proves it against the stock implementation).
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from abruptlab.arguments import require, require_count
from abruptlab.config import ModelConfig
from abruptlab.model.layers import Attention, Mlp, embedded
from abruptlab.model.sites import Site
from abruptlab.task.vocabulary import MASK

LAYER_NORM_EPS = 1e-12  # BERT's


class Block(nn.Module):
    """One post-LayerNorm transformer layer: x ← norm(x + attention(x)), x ← norm(x + mlp(x))."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.resid_pre = Site("batch, pos, width", "the layer's input", "hook_resid_pre")
        self.attn = Attention(config.width, config.heads)
        self.attn_norm = nn.LayerNorm(config.width, eps=LAYER_NORM_EPS)
        self.resid_mid = Site("batch, pos, width", "after the attention's norm", "(output of ln1)")
        self.mlp = Mlp(config.width, config.mlp_width)
        self.mlp_norm = nn.LayerNorm(config.width, eps=LAYER_NORM_EPS)
        self.resid_post = Site("batch, pos, width", "the layer's output", "hook_normalized_resid_post")

    def forward(self, x: Float[Tensor, "batch pos width"]) -> Float[Tensor, "batch pos width"]:
        x = self.resid_pre(x)
        x = self.resid_mid(self.attn_norm(x + self.attn(x)))
        return self.resid_post(self.mlp_norm(x + self.mlp(x)))


class RowColumnEmbedding(nn.Module):
    """Structured positional embeddings: the sum of one for the place's row and one for its column."""

    def __init__(self, rows: int, columns: int, width: int) -> None:
        super().__init__()
        self.rows = nn.Embedding(rows, width)
        self.columns = nn.Embedding(columns, width)

    @property
    def weight(self) -> Float[Tensor, "pos width"]:
        """The embedding of every place, row by row."""
        return (self.rows.weight.unsqueeze(1) + self.columns.weight).flatten(0, 1)


class Encoder(nn.Module):
    """The transformer of the paper (section 3): masked tokens in, one predicted value per token out.

    Every activation is a site (`sites.site_table`).
    """

    def __init__(self, config: ModelConfig, vocabulary_size: int, positions: int, columns: int = 1) -> None:
        """`columns` are those of the matrices, which positional embeddings of rows and columns have to know.

        Raises `ConfigError` for none of one of them, or places that are no whole rows.
        """
        for count, name in ((vocabulary_size, "vocabulary_size"), (positions, "positions"), (columns, "columns")):
            require_count(count, name)
        super().__init__()
        self.config = config
        frozen = MASK if config.mask_embedding == "zero" else None
        self.token_embedding = nn.Embedding(vocabulary_size, config.width, padding_idx=frozen)
        if config.positions == "free":
            self.position_embedding = nn.Embedding(positions, config.width)
        else:
            require(positions % columns == 0, "positions", f"whole rows of {columns} columns", positions)
            self.position_embedding = RowColumnEmbedding(positions // columns, columns, config.width)
        self.embed_norm = nn.LayerNorm(config.width, eps=LAYER_NORM_EPS)
        self.embed = Site("batch, pos, width", "token + position embedding, normalised", "hook_full_embed")
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.readout = nn.Linear(config.width, 1)

    def initialise(self, generator: torch.Generator) -> None:
        """Draw all weights anew: N(0, init_std²), biases zero, norms identity; the read-out keeps PyTorch's default
        (uniform within ±1/√width), and MASK's row is zero unless it is trained."""
        for module in self.modules():
            if module is self.readout:
                bound = 1 / math.sqrt(self.readout.in_features)
                for parameter in self.readout.parameters():
                    nn.init.uniform_(parameter, -bound, bound, generator=generator)
            elif isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=self.config.init_std, generator=generator)
                if isinstance(module, nn.Linear):
                    nn.init.zeros_(module.bias)
                elif module.padding_idx is not None:
                    nn.init.zeros_(module.weight[module.padding_idx])
            elif isinstance(module, nn.LayerNorm):
                module.reset_parameters()

    def forward(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos"]:
        """Predict the value of every token. Positions are counted from the first: a smaller matrix uses the first
        m·n of them, row by row."""
        x = embedded(tokens, self.token_embedding, self.position_embedding.weight)
        x = self.embed(self.embed_norm(x))
        for block in self.blocks:
            x = block(x)
        return self.read(x)

    def read(self, x: Float[Tensor, "batch pos width"]) -> Float[Tensor, "batch pos"]:
        """The values that stand in the last layer's output."""
        return self.readout(x).squeeze(-1)
