"""Multiplying the attention to what is needed: the causal test of the follow-up paper (arXiv 2506.13688)."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor

from abruptlab.model import sites
from abruptlab.model.build import Model
from abruptlab.task.base import Objective
from abruptlab.task.examples import Examples


@contextmanager
def emphasised(model: Model, objective: Objective, batch: Examples, factor: float, spared: int = 0) -> Iterator[None]:
    """Inside the block, in passes of `model` through `batch`, every head's attention to the useful keys of a query
    (`Objective.useful`) is multiplied by `factor`; what of it is softmax is then normalised again. The first `spared`
    places of an answer that is written keep theirs.

    The passes may go through the places in pieces (`Decoder.new_past`), but through all examples at once. Nothing in
    them is compiled.
    """
    if factor == 1:
        yield
        return
    useful = objective.useful(batch)[:, None]
    if spared:
        useful[:, :, : objective.answer - 1 + spared] = False  # a place is written at the one before it
    factors = torch.ones(useful.shape, device=useful.device).masked_fill_(useful, factor)
    normalised = model.config.attention == "softmax"

    def change(pattern: Float[Tensor, "example head query key"]) -> Float[Tensor, "example head query key"]:
        queries, keys = pattern.shape[2:]  # the queries are the last of the places so far
        pattern = pattern * factors[:, :, keys - queries : keys, :keys].to(pattern.dtype)
        return pattern / pattern.sum(-1, keepdim=True) if normalised else pattern

    with torch.compiler.set_stance("force_eager"), sites.replace(model, {"blocks.*.attn.pattern": change}):
        yield
