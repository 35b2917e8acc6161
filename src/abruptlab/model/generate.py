"""What a decoder writes after a prompt."""

import torch
from jaxtyping import Int
from torch import Tensor

from abruptlab.arguments import checked, require, shown
from abruptlab.model.decoder import Decoder


@checked
@torch.no_grad()
def generate(model: Decoder, prompts: Int[Tensor, "batch prompt"]) -> Int[Tensor, "batch answer"]:
    """The tokens with which the model fills the places after the prompts, always the most probable one.

    Keys and values of the places so far are kept: each new token costs one place's work. Raises `ConfigError` where
    there is no prompt, or no place after it.
    """
    places = model.position_embedding.num_embeddings
    expected = f"prompts of 1 to {places - 1} tokens, which leave places to fill"
    require(0 < prompts.shape[1] < places, "prompts", expected, shown(prompts))
    past, tokens, answer = model.new_past(), prompts, []
    for _ in range(prompts.shape[1], places):
        tokens = model(tokens, past)[:, -1].argmax(-1, keepdim=True)
        answer.append(tokens)
    return torch.cat(answer, 1)
