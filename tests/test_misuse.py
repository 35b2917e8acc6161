"""What a person in a notebook gets wrong, without the checks of types that run in the other tests."""

import subprocess
import sys

SCRIPT = """
from dataclasses import replace
from inspect import signature

import torch

import abruptlab
from abruptlab import measure_attention
from abruptlab.experiments.patching import Patch

run = abruptlab.pretrained_run("pocket")
config = run.config
model = run.load("final")
batch = abruptlab.sample(run.config.task, batch=2, seed=0)
with torch.no_grad(), abruptlab.record(model, "embed") as activations:
    model(batch.tokens)
asked = {"measure_switch": {"groups": "mlp"}, "measure_patching": {"patches": []}}
of_a_run = [
    name
    for name in dir(abruptlab)
    if name.startswith("measure_") and next(iter(signature(getattr(abruptlab, name)).parameters)) == "run"
]
assert len(of_a_run) > 20
mistakes = {
    "mask: expected one of random, rows, columns, single, got 'rand'": lambda: measure_attention(run, mask="rand"),
    "mask: expected one of random, rows, columns, single, got None": lambda: measure_attention(run, mask=None),
    "a whole number of at least 1, got 0": lambda: measure_attention(run, matrices=0),
    "a whole number of at least 1, got 2.5": lambda: measure_attention(run, matrices=2.5),
    "a whole number of at least 1, got True": lambda: measure_attention(run, matrices=True),
    "no head '1.1': expected pairs (layer, head)": lambda: abruptlab.measure_ablation(run, ["1.1"], matrices=2),
    "expected names of sites, got 3; this model has: embed, ": lambda: abruptlab.record(model, 3).__enter__(),
    "expected names of sites, got None": lambda: abruptlab.record(model, None).__enter__(),
    "site embed: expected a function of one argument, the activation, got one of other arguments": (
        lambda: abruptlab.replace(model, {"embed": lambda activation, hook: activation}).__enter__()
    ),
    "site embed: expected a function of one argument, the activation, got int": (
        lambda: abruptlab.replace(model, {"embed": 0}).__enter__()
    ),
    "site blocks.0.attn.z: expected heads as whole numbers, got [1.5]": (
        lambda: abruptlab.measure_patching(run, [Patch("blocks.0.attn.z", heads=[1.5])], matrices=2)
    ),
    "site embed: expected positions as whole numbers, got 0": (
        lambda: abruptlab.measure_patching(run, [Patch("embed", positions=0)], matrices=2)
    ),
    "no recorded site is named 'blocks.9'; there are: embed": lambda: activations["blocks.9"],
    "config: expected a RunConfig, as abruptlab.preset(name) gives, got str": lambda: abruptlab.train("pocket", "no"),
    "matrices: expected a whole number of at least 1, got '4'": lambda: measure_attention(run, matrices="4"),
    "matrices: expected a whole number of at least 1, got 0": (
        lambda: abruptlab.measure_greedy_ablation(run, matrices=0)
    ),
    "at places 0 to 15, got bool [2, 4]": lambda: model(torch.zeros(2, 4, dtype=torch.bool)),
    "at places 0 to 15, got Batch(": lambda: model(batch),
    "at places 0 to 15, got float32 [4, 4]": lambda: model(torch.zeros(4, 4)),
    "seed: expected int, got 1.5": lambda: replace(config, seed=1.5),
    "model: expected abruptlab.config.ModelConfig, got {'width': 3}": lambda: replace(config, model={"width": 3}),
    "steps: expected int, got '3'": lambda: replace(config.training, steps="3"),
    "learning_rate: expected float, got None": lambda: replace(config.training, learning_rate=None),
    "micro_batch: expected int | None, got 2.0": lambda: replace(config.training, micro_batch=2.0),
    "trained: expected tuple[str, ...], got 'mlp'": lambda: replace(config.start, run="laptop", trained="mlp"),
    "rank: expected int, got 1.5": lambda: replace(config.task, rank=1.5),
    "sizes: expected tuple[tuple[int, int], ...], got (7, 7)": lambda: replace(config.task, sizes=(7, 7)),
    "length: expected int, got '8'": lambda: replace(abruptlab.preset("window-sum").task, length="8"),
    "task: expected a MatrixTask, such as the config.task of a run, got Run": lambda: abruptlab.sample(run, 2, 0),
    "batch: expected a whole number of at least 1, got -1": lambda: abruptlab.sample(config.task, batch=-1, seed=0),
    "seed: expected a whole number of at least 0, got -1": lambda: abruptlab.sample(config.task, batch=2, seed=-1),
    "at places 0 to 15, got int64 [16]": lambda: model(batch.tokens[0]),
}
no_run = "expected a Run, which abruptlab.Run(folder) or abruptlab.pretrained_run(name) gives, got a str"
without = [(no_run, lambda name=name: getattr(abruptlab, name)("laptop", **asked.get(name, {}))) for name in of_a_run]
for line, mistake in [*mistakes.items(), *without]:
    try:
        mistake()
    except abruptlab.errors.AbruptlabError as error:
        assert line in str(error), f"expected {line}, got {error}"
    else:
        raise AssertionError(f"no error: {line}")
"""


def test_mistakes_are_named_in_one_line() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
