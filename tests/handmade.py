"""Encoders whose weights are set by hand, so that what an experiment must find in them is known.

The residual stream holds named channels, each a pair of coordinates (s, −s), so that its mean is zero, beside one pair
of huge constants, so that every LayerNorm divides by the same number and gives it back: the norms do nothing. Tokens
write VALUE (0 for MASK) and SEEN (1, but 0 for MASK); positions write one-hot ROW, COLUMN and PLACE. Heads and MLPs do
nothing until told to; the read-out gives VALUE until told otherwise: a fresh model copies what it sees.
"""

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from abruptlab.config import MatrixTask, ModelConfig, RunConfig, TrainingConfig
from abruptlab.model.encoder import Encoder
from abruptlab.model.layers import Attention
from abruptlab.run.run import Run
from abruptlab.task.vocabulary import MASK, Vocabulary
from tests.synthetic import STEPS, make_metrics, make_run

ROWS, COLUMNS = 3, 4
CONFIG = RunConfig(
    name="handmade",
    task=MatrixTask(sizes=((ROWS, COLUMNS),), rank=1, limit=1.0),
    model=ModelConfig(layers=2, heads=3, width=72, mlp_width=16),
    training=TrainingConfig(steps=STEPS),
)

VALUE, SEEN = 0, 1
ROW = [2 + i for i in range(ROWS)]
COLUMN = [5 + j for j in range(COLUMNS)]
PLACE = [9 + at for at in range(ROWS * COLUMNS)]
FREE = [21, 22, 23, 24]  # channels that nothing writes to by itself

HUGE = 300.0
SHARP = 30.0  # attention logit of a match, 0 elsewhere


def channel(at: int) -> Tensor:
    """The direction of the residual stream that channel `at` is written in; reading it is `x @ channel / 2`."""
    direction = torch.zeros(CONFIG.model.width)
    direction[2 + 2 * at], direction[3 + 2 * at] = 1.0, -1.0
    return direction


@torch.no_grad()
def copier() -> Encoder:
    """A model that gives back the value at every place, and 0 for MASK."""
    model = Encoder(CONFIG.model, Vocabulary.of(CONFIG.matrices).size, ROWS * COLUMNS).eval()
    for name, parameter in model.named_parameters():
        parameter.zero_()
        if "norm" in name and name.endswith("weight"):
            parameter.fill_(HUGE * math.sqrt(2 / CONFIG.model.width))
    vocabulary = Vocabulary.of(CONFIG.matrices)
    for token in range(vocabulary.size):
        if token != MASK:
            value = vocabulary.decode(torch.tensor([token])).item()
            model.token_embedding.weight[token] = value * channel(VALUE) + channel(SEEN)
    for at in range(ROWS * COLUMNS):
        constant = torch.zeros(CONFIG.model.width)
        constant[0], constant[1] = HUGE, -HUGE
        i, j = divmod(at, COLUMNS)
        model.position_embedding.weight[at] = constant + channel(ROW[i]) + channel(COLUMN[j]) + channel(PLACE[at])
    read_out(model, VALUE)
    return model


def _attention(model: Encoder, layer: int) -> Attention:
    attention = model.get_submodule(f"blocks.{layer}.attn")
    assert isinstance(attention, Attention)
    return attention


@torch.no_grad()
def read_out(model: Encoder, source: int) -> None:
    """Let the model's output be the channel `source` of the last layer."""
    model.readout.weight[0] = channel(source) / 2


@torch.no_grad()
def attend(model: Encoder, layer: int, head: int, where: str) -> None:
    """Let a head attend to (all of) the query's `row`, `column` or `place`, or, for any query, to all `seen` places.

    Without it, a head attends to all places alike.
    """
    attention = _attention(model, layer)
    width, size = CONFIG.model.width, CONFIG.model.width // CONFIG.model.heads
    size_of_match = math.sqrt(SHARP * math.sqrt(size))
    query, key = (slice(part * width + head * size, part * width + (head + 1) * size) for part in (0, 1))
    attention.qkv.weight[query] = 0
    attention.qkv.bias[query] = 0
    attention.qkv.weight[key] = 0
    for at, source in enumerate({"row": ROW, "column": COLUMN, "place": PLACE, "seen": [SEEN]}[where]):
        attention.qkv.weight[key.start + at] = size_of_match * channel(source) / 2
        if where == "seen":
            attention.qkv.bias[query.start] = size_of_match
        else:
            attention.qkv.weight[query.start + at] = size_of_match * channel(source) / 2


@torch.no_grad()
def prefer(model: Encoder, layer: int, head: int, source: int) -> None:
    """Let a head, besides what `attend` (called before) tells it, attend to the places where channel `source` is 1."""
    attention = _attention(model, layer)
    width, size = CONFIG.model.width, CONFIG.model.width // CONFIG.model.heads
    size_of_match = math.sqrt(SHARP * math.sqrt(size))
    query, key = ((part * width) + (head + 1) * size - 1 for part in (0, 1))  # the last one, which `attend` leaves free
    attention.qkv.bias[query] = size_of_match
    attention.qkv.weight[key] = size_of_match * channel(source) / 2


@torch.no_grad()
def carry(model: Encoder, layer: int, head: int, source: int, target: int, factor: float = 1.0) -> None:
    """Let a head add `factor` times the mean of channel `source`, over the places it attends to, to `target`."""
    attention = _attention(model, layer)
    width, size = CONFIG.model.width, CONFIG.model.width // CONFIG.model.heads
    attention.qkv.weight[2 * width + head * size] = channel(source) / 2
    attention.output.weight[:, head * size] = factor * channel(target)


def averager(where: str) -> Encoder:
    """A model whose prediction is the mean value, MASK as 0, over the places its one head attends to (`attend`)."""
    model = copier()
    attend(model, 1, 0, where)
    carry(model, 1, 0, VALUE, FREE[0])
    read_out(model, FREE[0])
    return model


def handmade_run(folder: Path, models: dict[int, Encoder], metrics: dict[str, np.ndarray] | None = None) -> Run:
    """A run with these models as checkpoints; its made-up curve drops from step 1,500 to 2,000 of 4,000."""
    return make_run(folder, make_metrics() if metrics is None else metrics, models, CONFIG)
