"""Useful attention multiplied: what a pattern becomes, with and without a past, in a GPT and in a BERT."""

from dataclasses import replace
from typing import cast

import pytest
import torch

from abruptlab.model.decoder import Decoder
from abruptlab.model.emphasis import emphasised
from abruptlab.model.sites import record
from abruptlab.presets import preset
from abruptlab.task.window_sum import WindowSum
from abruptlab.training.state import initial_model

WINDOWS = preset("window-sum")
WINDOWS = replace(
    WINDOWS,
    task=WindowSum(length=4, modulus=5),
    model=replace(WINDOWS.model, layers=2, heads=2, width=16, mlp_width=16, init_std=0.3),
)
SMOKE = preset("smoke")
NAME = "blocks.0.attn.pattern"


@pytest.mark.parametrize("attention", ["linear", "softmax", "encoder"])
def test_a_pattern_is_multiplied_where_it_is_useful(attention: str) -> None:
    config = SMOKE if attention == "encoder" else replace(WINDOWS, model=replace(WINDOWS.model, attention=attention))
    model, objective = initial_model(config), config.objective
    batch = next(config.task.stream(6, seed=1))
    with record(model, [NAME]) as found, torch.no_grad():
        model(objective.inputs(batch))
    plain = found[NAME]
    with emphasised(model, objective, batch, 2.5), record(model, [NAME]) as changed, torch.no_grad():
        model(objective.inputs(batch))
    useful = objective.useful(batch)[:, None].expand_as(plain)
    expected = torch.where(useful, 2.5 * plain, plain)
    if attention != "linear":
        expected = expected / expected.sum(-1, keepdim=True)
    torch.testing.assert_close(changed[NAME], expected)


def test_with_a_past_it_is_the_same() -> None:
    model, objective = cast(Decoder, initial_model(WINDOWS)), WINDOWS.objective
    batch = next(WINDOWS.task.stream(6, seed=1))
    tokens = objective.inputs(batch)
    with torch.no_grad():
        plain = model(tokens)
        with emphasised(model, objective, batch, 10.0):
            whole = model(tokens)
            past = model.new_past()
            pieces = [model(piece, past) for piece in (tokens[:, :5], tokens[:, 5:6], tokens[:, 6:])]
    torch.testing.assert_close(torch.cat(pieces, 1), whole)
    assert not torch.allclose(whole[:, 4:], plain[:, 4:])
    torch.testing.assert_close(whole[:, :4], plain[:, :4])  # of the prompt nothing is asked


def test_the_first_places_of_an_answer_may_keep_theirs() -> None:
    model, objective = initial_model(replace(WINDOWS, model=replace(WINDOWS.model, layers=1))), WINDOWS.objective
    batch = next(WINDOWS.task.stream(6, seed=1))
    with record(model, [NAME]) as found, torch.no_grad():
        model(objective.inputs(batch))
    for spared in (1, 2):
        first = 4 + spared  # the separator, behind four numbers, writes the first place
        with emphasised(model, objective, batch, 3.0, spared), record(model, [NAME]) as changed, torch.no_grad():
            model(objective.inputs(batch))
        same = (changed[NAME] == found[NAME]).all((0, 1, 3))
        assert same.tolist() == [query < first for query in range(len(same))]


def test_a_factor_of_one_touches_nothing() -> None:
    model, batch = initial_model(WINDOWS), next(WINDOWS.task.stream(6, seed=1))
    with emphasised(model, WINDOWS.objective, batch, 1.0):
        assert not any(module._forward_hooks for module in model.modules())
