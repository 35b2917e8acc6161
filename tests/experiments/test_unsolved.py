"""Collapse at the places that are not solved, of decoders whose states are set by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from abruptlab.config import ModelConfig, RunConfig, TrainingConfig
from abruptlab.errors import RunError
from abruptlab.experiments.unsolved import measure_unsolved_collapse
from abruptlab.model.decoder import Decoder
from abruptlab.paper import Findings, judge
from abruptlab.paper.plateau import CLAIMS
from abruptlab.task.repeat import Repeat
from abruptlab.task.window_sum import WindowSum
from tests.synthetic import STEPS, make_metrics, make_run

LENGTH, MODULUS = 6, 5
TASK = WindowSum(length=LENGTH, window=1, modulus=MODULUS)  # whose answer is the prompt again
CONFIG = RunConfig(
    task=TASK,
    model=ModelConfig(kind="decoder", layers=1, heads=1, width=32, mlp_width=8, mask_embedding="trained"),
    training=TrainingConfig(steps=STEPS),
)
METRICS = make_metrics()
METRICS |= {"loss_answer": METRICS["loss_masked"], "loss_prompt": METRICS["loss_observed"], "accuracy": METRICS["loss"]}
PLACES = CONFIG.objective.places
FIRST = LENGTH  # the place of the separator, from which the answer's first token is written


@torch.no_grad()
def decoder(*, parallel: bool, copies_first: bool) -> Decoder:
    """Its states are one and the same at all places, or one-hot in the place; the first token may be copied."""
    model = Decoder(CONFIG.model, CONFIG.objective.vocabulary_size, PLACES)
    for name, parameter in model.named_parameters():
        parameter.fill_(1) if name.endswith("norm.weight") else parameter.zero_()
    for place in range(PLACES):
        model.position_embedding.weight[place, 8 if parallel else 8 + place] = 1
    if copies_first:
        qkv = model.get_parameter("blocks.0.attn.qkv.weight")
        output = model.get_parameter("blocks.0.attn.output.weight")
        model.position_embedding.weight[FIRST] = torch.eye(32)[30]
        model.position_embedding.weight[0, 31] = 1
        qkv[0, 30], qkv[32, 31] = 40, 40  # the separator asks for the first number
        for token in range(MODULUS):
            model.token_embedding.weight[token, token] = 1
            qkv[64 + token, token] = 1
            output[token, token] = 20
            model.readout.weight[token, token] = 1
        for place in range(FIRST + 1, PLACES):
            model.position_embedding.weight[place, 0] = 3  # writes the id 0, which is no number
    return model


def run_of(folder: Path, before: Decoder, after: Decoder, config: RunConfig = CONFIG):
    folder.mkdir()
    saved = {750: before, 1400: before, STEPS: after}
    return make_run(folder, METRICS, saved, config)


def test_places_that_are_solved_are_left_out(tmp_path: Path) -> None:
    before = decoder(parallel=True, copies_first=True)
    run = run_of(tmp_path / "run", before, decoder(parallel=False, copies_first=False))
    found = measure_unsolved_collapse(run)
    assert found.step.tolist() == [750, STEPS]
    np.testing.assert_array_equal(found.unsolved, [False, *[True] * (LENGTH - 1)])
    assert found.accuracy[0] > 0.9
    assert found.collapse.mean[0] > 0.95
    assert found.collapse.mean[1] < 0.1


@pytest.mark.parametrize(("parallel", "within"), [(True, True), (False, False)])
def test_the_claim(tmp_path: Path, parallel: bool, within: bool) -> None:
    before = decoder(parallel=parallel, copies_first=False)
    run = run_of(tmp_path / "run", before, decoder(parallel=False, copies_first=False))
    [verdict] = judge(Findings(run), {"plateau-collapse-code": CLAIMS["plateau-collapse-code"]})
    assert verdict.within == (within,)
    assert verdict.passing == ()


def test_one_place_is_parallel_to_none(tmp_path: Path) -> None:
    config = replace(CONFIG, task=Repeat(length=1, modulus=MODULUS))
    model = Decoder(config.model, config.objective.vocabulary_size, config.objective.places)
    with pytest.raises(RunError, match="expected two places of the answer that are not solved at step 750"):
        measure_unsolved_collapse(run_of(tmp_path / "run", model, model, config))
