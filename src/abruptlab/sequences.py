"""What a decoder reads and writes: [masked X, SEP, X], each matrix flattened row by row.

The m·n entries of the masked matrix and SEP are the prompt, the m·n entries of the whole one the answer.
"""

import torch
from jaxtyping import Int
from torch import Tensor

from abruptlab.decoder import Decoder
from abruptlab.matrices import Batch
from abruptlab.tokens import Vocabulary


def prompts(batch: Batch, vocabulary: Vocabulary) -> Int[Tensor, "batch prompt"]:
    """[masked X, SEP] of every matrix."""
    separator = torch.full_like(batch.tokens[:, :1], vocabulary.separator)
    return torch.cat([batch.tokens, separator], 1)


def sequences(batch: Batch, vocabulary: Vocabulary) -> Int[Tensor, "batch place"]:
    """[masked X, SEP, X] of every matrix."""
    return torch.cat([prompts(batch, vocabulary), vocabulary.encode_known(batch.values)], 1)


@torch.no_grad()
def generate(model: Decoder, prompts: Int[Tensor, "batch prompt"]) -> Int[Tensor, "batch answer"]:
    """The tokens with which the model fills the places after the prompts, always the most probable one.

    Keys and values of the places so far are kept: each new token costs one place's work.
    """
    past, tokens, answer = model.new_past(), prompts, []
    for _ in range(prompts.shape[1], model.position_embedding.num_embeddings):
        tokens = model(tokens, past)[:, -1].argmax(-1, keepdim=True)
        answer.append(tokens)
    return torch.cat(answer, 1)
