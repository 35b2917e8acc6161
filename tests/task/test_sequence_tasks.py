"""The follow-up paper's tasks beside its main one: what is drawn, what each place needs, what guessing loses."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from abruptlab.config import RunConfig
from abruptlab.errors import ConfigError
from abruptlab.presets import PRESETS, preset
from abruptlab.task.addition import Addition
from abruptlab.task.concatenated import ConcatenatedWindows
from abruptlab.task.copying import Copy
from abruptlab.task.histogram import Histogram
from abruptlab.task.permutation import Permutation
from abruptlab.task.repeat import Repeat
from abruptlab.task.sequence import SequenceTask
from abruptlab.task.window_sum import WindowSum
from abruptlab.training.state import initial_model

Answer = Callable[[list[int]], list[int]]


def add(prompt: list[int]) -> list[int]:
    assert prompt[3] == 10
    number = [int("".join(map(str, digits))) for digits in (prompt[:3], prompt[4:])]
    return [int(digit) for digit in reversed(f"{sum(number):04d}")]


def permute(prompt: list[int], times: int) -> list[int]:
    numbers, zero, order = prompt[:5], prompt[5], [place - 1 for place in prompt[6:]]
    assert zero == 0
    assert sorted(order) == [0, 1, 2, 3, 4]
    assert set(numbers) <= set(range(6, 11))
    for _ in range(times):
        numbers = [numbers[place] for place in order]
    return numbers


def concatenate(prompt: list[int]) -> list[int]:
    windows = [2, 2, 3, 3, 3]
    return [sum(prompt[max(0, at + 1 - window) : at + 1]) % 5 for at, window in enumerate(windows)]


TASKS: dict[str, tuple[SequenceTask, Answer]] = {
    "addition": (Addition(digits=3), add),
    "concatenated": (ConcatenatedWindows(length=7, windows=(2, 3), places=(2, 3), modulus=5), concatenate),
    "copy": (Copy(length=4, numbers=5), lambda prompt: prompt),
    "histogram": (Histogram(length=5, letters=3), lambda prompt: [prompt.count(letter) for letter in prompt]),
    "permutation": (Permutation(length=5), lambda prompt: permute(prompt, 1)),
    "permutation thrice": (Permutation(length=5, times=3), lambda prompt: permute(prompt, 3)),
    "prefix": (WindowSum(length=4, window=4, modulus=5), lambda prompt: [sum(prompt[: i + 1]) % 5 for i in range(4)]),
    "repeat": (Repeat(length=4, modulus=5), lambda prompt: prompt[:1] * 4),
    "repeat 2": (Repeat(length=4, modulus=5, blocks=2), lambda prompt: [(prompt[0] + i // 2) % 5 for i in range(4)]),
    "reverse": (Copy(length=4, numbers=5, backwards=True), lambda prompt: prompt[::-1]),
}


@pytest.fixture(params=TASKS)
def case(request: pytest.FixtureRequest) -> tuple[SequenceTask, Answer]:
    return TASKS[request.param]


def test_the_answer_is_right(case: tuple[SequenceTask, Answer]) -> None:
    task, answer = case
    batch = next(task.stream(64, seed=3))
    assert batch.tokens.shape == (64, task.prompt_length + 1 + task.answer_length)
    assert batch.tokens.max() == task.separator
    for tokens in batch.tokens.tolist():
        prompt, separator, written = tokens[: batch.size[0]], tokens[batch.size[0]], tokens[batch.size[0] + 1 :]
        assert separator == task.separator
        assert written == answer(prompt)


def test_what_a_place_needs_decides_it(case: tuple[SequenceTask, Answer]) -> None:
    """Other numbers elsewhere leave an answer as it is; a count is the number of what it needs."""
    task, answer = case
    batch = next(task.stream(200, seed=1))
    prompts, needs = batch.tokens[:, : task.prompt_length], task.needs(batch.tokens[:, : task.prompt_length])
    assert needs.shape == (200, task.answer_length, task.prompt_length)
    assert needs.any(-1).all()
    if isinstance(task, Histogram):
        assert torch.equal(needs.sum(-1), batch.answers)
        return
    for at in range(task.answer_length):  # pairs of examples that agree on what this place needs
        for one in range(100):
            kept = needs[one, at]
            if isinstance(task, Permutation):
                mixed = prompts[one].clone()
                numbers = torch.arange(task.prompt_length) < task.length
                mixed[~kept & numbers] = prompts[one + 100][~kept & numbers]
            else:
                mixed = torch.where(kept, prompts[one], prompts[one + 100])
            assert answer(mixed.tolist())[at] == batch.answers[one, at], (at, mixed)


def test_the_level_is_the_entropy_of_the_answer_s_tokens(case: tuple[SequenceTask, Answer]) -> None:
    task, _ = case
    _, answers = task.draw(200_000, torch.Generator().manual_seed(0))
    entropies = []
    for place in answers.T:
        shares = torch.bincount(place).double() / len(place)
        entropies.append(-(shares * shares.clamp(min=1e-12).log()).sum().item())
    assert task.level == pytest.approx(np.mean(entropies), abs=5e-3)


def test_the_level_of_long_histograms() -> None:
    level = Histogram(length=2000, letters=2).level
    assert level == pytest.approx(0.5 * np.log(2 * np.pi * np.e * 1999 / 4), rel=1e-3)  # nearly a normal distribution
    assert 0 < Histogram(length=300, letters=1000).level < level


def test_a_permutation_is_any_of_them() -> None:
    prompts, _ = Permutation(length=3).draw(6000, torch.Generator().manual_seed(0))
    orders, counts = prompts[:, 4:].unique(dim=0, return_counts=True)
    assert len(orders) == 6
    assert ((counts - 1000) ** 2 / 1000).sum() < 20.5  # χ² of 5 degrees, 0.1 %


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Addition(digits=0), "digits: expected 1 to 17, got 0"),
        (lambda: Copy(numbers=1), "numbers: expected at least 2, got 1"),
        (lambda: Histogram(length=0), "length: expected at least 1, got 0"),
        (lambda: Permutation(times=0), "times: expected at least 1, got 0"),
        (lambda: Repeat(blocks=3), r"blocks: expected a divisor of length \(16\), got 3"),
        (lambda: ConcatenatedWindows(windows=()), "windows: expected one or more"),
        (lambda: ConcatenatedWindows(places=(4, 5)), r"places: expected as many positive numbers as windows \(3\)"),
        (lambda: ConcatenatedWindows(places=(4, 5, 8)), r"places: expected together at most length \(16\)"),
    ],
)
def test_a_mistake_is_named(make: Callable[[], SequenceTask], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


FOLLOW_UP = [name for name, (_, config) in PRESETS.items() if isinstance(config.task, SequenceTask)]


@pytest.mark.parametrize("name", FOLLOW_UP)
def test_a_preset_is_read_back_and_has_the_paper_s_sizes(name: str) -> None:
    config = preset(name)
    assert RunConfig.from_toml(config.to_toml()) == config
    layers = 2 if name in ("permutation", "histogram") else 1
    assert (config.model.layers, config.model.heads, config.model.width) == (layers, 1, 256)
    assert (config.model.attention, config.training.batch, config.training.learning_rate) == ("linear", 256, 1e-4)
    assert config.training.clip_norm == (1.0 if name == "histogram" else None)


def test_the_steps_are_the_paper_s() -> None:
    steps = {name: preset(name).training.steps for name in FOLLOW_UP}
    assert steps == {
        "window-sum": 400,
        "prefix-sum": 1000,
        "addition": 10_000,
        "permutation": 2000,
        "histogram": 5000,
        "concatenated-windows": 5000,
        "copy": 100,
        "reverse": 100,
        "repeat": 200,
    }


@pytest.mark.parametrize("name", FOLLOW_UP)
def test_every_preset_s_model_can_see_a_batch(name: str) -> None:
    config = preset(name)
    config = replace(config, model=replace(config.model, width=8, mlp_width=8))
    batch = next(config.task.stream(4, seed=0))
    objective = config.objective
    losses = objective.sums(initial_model(config), batch) / objective.counts(batch)
    assert losses[0].item() == pytest.approx(math.log(objective.vocabulary_size), abs=0.02)
    assert objective.useful(batch).shape == (4, *[config.places - 1] * 2)
