"""Shapes and types in signatures are checked while the tests run; nothing is downloaded; the models are tiny."""

import gc
import io
import os
from collections.abc import Iterator

os.environ["HF_HUB_OFFLINE"] = "1"

import pytest
import torch
from hypothesis import settings
from matplotlib.figure import Figure

from abruptlab.config import ModelConfig  # before the hook, whose random checks would disturb Hypothesis
from tests.shapes import install

if os.environ.get("CHECK_SHAPES", "yes") == "yes":  # torch.compile cannot compile the checks
    install("abruptlab")

from abruptlab.model.encoder import Encoder
from abruptlab.task.counter import generator

settings.register_profile("abruptlab", deadline=None, max_examples=50)
settings.load_profile("abruptlab")
torch.set_num_threads(1)  # threads cost more than they give at this size


def pytest_collection_finish() -> None:
    """What is imported is no garbage: to look through it again and again takes a thirtieth of the time."""
    gc.freeze()


@pytest.fixture(autouse=True)
def keep_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    """`watch` gives way to what it watches, which the tests after it should not."""
    monkeypatch.setattr("os.nice", lambda by: by)


@pytest.fixture(scope="session", autouse=True)
def wait_for_no_disk() -> Iterator[None]:
    """What is written is brought to disk for the sake of a power cut, of which no test has one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda file: None)
        yield


@pytest.fixture
def coarse_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it matters that a figure is there, and when it was made, but not how it looks."""
    monkeypatch.setattr("abruptlab.figures.save.render", _coarsely)


def _coarsely(figure: Figure, ending: str) -> bytes:
    """A PNG of few dots, laid out as it comes; the PDF, which nobody here looks at, is none."""
    if ending == "pdf":
        return b"drawn"
    figure.set_layout_engine("none")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=30)
    return buffer.getvalue()


SMALL = ModelConfig(layers=2, heads=4, width=32, mlp_width=64)


@pytest.fixture
def encoder() -> Encoder:
    """A small encoder for 20 tokens and 12 positions, with weights large enough to make attention far from uniform."""
    return make_encoder(SMALL)


def make_encoder(config: ModelConfig) -> Encoder:
    model = Encoder(config, vocabulary_size=20, positions=12)
    model.initialise(generator(0))
    with torch.no_grad():
        for parameter in model.parameters():  # biases and norms too: initialised ones would hide a wrong mapping
            parameter += 0.2 * torch.randn(parameter.shape, generator=generator(1, parameter.numel()))
        if model.token_embedding.padding_idx is not None:
            model.token_embedding.weight[model.token_embedding.padding_idx] = 0
    return model


@pytest.fixture
def tokens() -> torch.Tensor:
    """A batch of five sequences of nine tokens, some of them MASK."""
    ids = torch.randint(20, (5, 9), generator=generator(2))
    ids[:, ::4] = 0
    return ids
