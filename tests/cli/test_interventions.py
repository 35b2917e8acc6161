"""Heads as a person counts them: from 1, as in the figures."""

import re

import pytest

from abruptlab import measure_ablation, measure_patching, pretrained_run
from abruptlab.experiments.patching import Patch
from tests.cli.test_cli import abruptlab


def printed(capsys: pytest.CaptureFixture[str], name: str) -> list[str]:
    (row,) = [line for line in capsys.readouterr().out.splitlines() if re.match(rf"│ {name} +│", line)]
    return [cell.split("±")[0].strip() for cell in row.split("│")[2:-1]]


def test_the_head_that_is_named_is_the_head_that_is_ablated(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--with", "zero", "--matrices", "32"]
    assert abruptlab("ablate", "pocket", "--heads", "2.4", *words) == (0, "")
    result = measure_ablation(pretrained_run("pocket"), [(1, 3)], "zero", matrices=32)
    assert printed(capsys, "ablated") == [f"{each.mean:.3g}" for each in result.ablated.values()]


def test_layers_heads_and_places_are_patched_as_named(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--layer", "3", "--heads", "8", "--positions", "1", "16", "--matrices", "16"]
    assert abruptlab("patch", "pocket", *words) == (0, "")
    patch = Patch("blocks.2.attn.z", [7], [0, 15])
    result = measure_patching(pretrained_run("pocket"), [patch], matrices=16)
    at_hidden, at_observed = result.effect["loss_masked"], result.effect["loss_observed"]
    shown = f"L_obs {at_observed.mean:.3f} ± {at_observed.error:.3f}, L_mask {at_hidden.mean:.3f}"
    assert shown in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["ablate", "pocket", "--heads", "0.1"], "no head 0.1 (layer.head); this model has layers 1 to 4 with"),
        (["ablate", "pocket", "--heads", "1.9"], "no head 1.9"),
        (["ablate", "pocket", "--heads", "1.²"], "expected LAYER.HEAD, such as 2.1, got '1.²'"),
        (["ablate", "pocket", "--heads", "1.1", "1.2", "1.1"], "--heads: expected each once, got 1.1 2 times"),
        (["patch", "pocket", "--layer", "0"], "--layer: expected 1 to 4, got 0"),
        (["patch", "pocket", "--layer", "1", "--heads", "3", "3"], "--heads: expected each once, got 3 2 times"),
        (["patch", "pocket", "--layer", "1", "--heads", "9"], "--heads: expected 1 to 8, got 9"),
        (["patch", "pocket", "--layer", "1", "--positions", "17"], "--positions: expected 1 to 16, got 17"),
        (["patch", "pocket", "--layer", "1", "--positions", "0"], "--positions: expected 1 to 16, got 0"),
        (["switch", "pocket", "--groups", "mlp", "mlp"], "--groups: expected each once, got mlp 2 times"),
        (["switch", "pocket", "--groups"], "--groups: expected at least one, got none"),
        (["figure", "4", "pocket", "--out", "one.pdf"], "--out: expected a folder, in which figures have names"),
        (["ablate", "pocket", "--matrices", "100000000000"], "100,000,000,000 matrices takes at least"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_one_line(words: list[str], line: str) -> None:
    status, said = abruptlab(*words)
    assert (status, line in said, said.count("\n")) == (1, True, 0), said
