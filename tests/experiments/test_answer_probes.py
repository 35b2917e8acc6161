"""Probes of the answer, on decoders that hold it in a known place."""

from pathlib import Path

import numpy as np
import pytest
import torch

from abruptlab.config import ModelConfig, RunConfig, TrainingConfig
from abruptlab.errors import ConfigError, RunError
from abruptlab.experiments.answer_probes import AnswerProbes, measure_answer_probes
from abruptlab.figures.answer_probes import draw_answer_probes
from abruptlab.model.decoder import Decoder
from abruptlab.paper import CLAIMS, Findings, judge
from abruptlab.run.pretrained import pretrained_run
from abruptlab.task.copying import Copy
from tests.synthetic import STEPS, make_metrics, make_run

LENGTH, NUMBERS = 8, 12
TASK = Copy(length=LENGTH, numbers=NUMBERS)
TOKENS, PLACES = NUMBERS + 2, 2 * LENGTH + 1
WIDTH = TOKENS + PLACES
CONFIG = RunConfig(
    "copy",
    task=TASK,
    model=ModelConfig(kind="decoder", layers=1, heads=1, width=WIDTH, mlp_width=4, mask_embedding="trained"),
    training=TrainingConfig(steps=STEPS),
)
EMBEDDING, OUTPUT, ATTENTION, MLP = range(4)
FEW = {"train": 512, "matrices": 256}
NAMES = ("loss", "loss_prompt", "loss_answer", "accuracy", "learning_rate", "elapsed_s")
METRICS = {"step": np.arange(STEPS), **{name: np.ones(STEPS) for name in NAMES}}


@torch.no_grad()
def holder(looks: bool, writes: bool) -> Decoder:
    """A decoder whose head, if it `looks`, takes the token to be written from the prompt; if it `writes`, the read-out
    takes that token from the states."""
    model = Decoder(CONFIG.model, TOKENS, PLACES).eval()
    for name, parameter in model.named_parameters():
        parameter.fill_(1) if name.endswith("norm.weight") else parameter.zero_()
    one_hot = torch.eye(WIDTH)
    model.token_embedding.weight.copy_(one_hot[:TOKENS])
    model.position_embedding.weight.copy_(one_hot[TOKENS:])
    if writes:
        model.readout.weight.copy_(one_hot[:TOKENS])
    if looks:
        qkv = model.get_parameter("blocks.0.attn.qkv.weight")
        for entry in range(LENGTH):
            qkv[entry, TOKENS + LENGTH + entry] = 9  # query: the separator and the answer
            qkv[WIDTH + entry, TOKENS + entry] = 9  # key: the prompt
        for token in range(TOKENS):
            qkv[2 * WIDTH + token, token] = 1  # value
        model.get_parameter("blocks.0.attn.output.weight").copy_(10 * torch.eye(WIDTH))
    return model


def probed(folder: Path, before: Decoder, after: Decoder) -> AnswerProbes:
    folder.mkdir()
    run = make_run(folder, METRICS, {800: before, STEPS: after}, CONFIG)
    return measure_answer_probes(run, [800, "final"], **FEW)


def test_the_answer_is_read_off_the_layer_that_holds_it(tmp_path: Path) -> None:
    """Also where the model does not write it."""
    found = probed(tmp_path / "run", holder(looks=True, writes=False), holder(looks=True, writes=True))
    assert found.step.tolist() == [800, STEPS]
    assert found.sites.tolist() == ["embed", "blocks.0.attn.out", "blocks.0.resid_mid", "blocks.0.resid_post"]
    np.testing.assert_allclose(found.right.mean[:, [OUTPUT, ATTENTION, MLP]], 1)
    assert (found.right.mean[:, EMBEDDING] < 0.2).all()  # one of twelve, and a little
    assert (found.chance.mean < 0.2).all()
    assert found.model.mean[0] == 0  # the id 0 is no number
    assert found.model.mean[1] == pytest.approx(1)


def test_what_no_state_holds_is_read_off_none(tmp_path: Path) -> None:
    found = probed(tmp_path / "run", holder(looks=False, writes=True), holder(looks=False, writes=True))
    assert (found.right.mean < 0.2).all()


def test_a_probe_is_judged_on_examples_that_it_has_not_seen(tmp_path: Path) -> None:
    """Of two examples it learns the answers by heart."""
    run = make_run(tmp_path, METRICS, {STEPS: holder(looks=False, writes=True)}, CONFIG)
    assert (measure_answer_probes(run, ["final"], train=2, matrices=64).right.mean < 0.3).all()


def test_what_is_drawn_is_what_was_measured(tmp_path: Path) -> None:
    found = probed(tmp_path / "run", holder(looks=False, writes=True), holder(looks=True, writes=True))
    [axes] = draw_answer_probes(found).axes
    drawn = {str(bars.get_label()): bars.lines[0].get_ydata() for bars in axes.containers}  # pyright: ignore
    assert [*drawn] == [
        "probe of the embeddings",
        "probe of the output of attention 1",
        *(f"probe of the state after {part} 1" for part in ("attention", "MLP")),
        "the model",
    ]
    for at, values in enumerate([*found.right.mean.T, found.model.mean]):
        np.testing.assert_array_equal([*drawn.values()][at], values)


@pytest.mark.parametrize(
    ("looks", "writes", "within"), [(True, False, True), (True, True, False), (False, True, False)]
)
def test_the_claim_is_of_what_is_there_and_not_written(tmp_path: Path, looks: bool, writes: bool, within: bool) -> None:
    metrics = METRICS | {"loss_answer": make_metrics()["loss_masked"]}
    steps = {800: holder(False, False), 1400: holder(looks, writes), STEPS: holder(True, True)}
    found = Findings(make_run(tmp_path, metrics, steps, CONFIG))
    assert found.run.milestones["onset"] == 1400
    [verdict] = judge(found, {"answer-readable": CLAIMS["answer-readable"]})
    assert verdict.within == (within,)
    assert verdict.passing == ()


def test_what_makes_no_sense_is_an_error(tmp_path: Path) -> None:
    run = make_run(tmp_path, METRICS, {STEPS: holder(looks=True, writes=True)}, CONFIG)
    with pytest.raises(ConfigError, match="train: expected a whole number of at least 2, got 1"):
        measure_answer_probes(run, train=1)
    with pytest.raises(
        RunError, match="this needs a decoder of other sequences, and the run has an encoder of matrices"
    ):
        measure_answer_probes(pretrained_run("pocket"))
