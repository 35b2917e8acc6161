"""What a person in a notebook gets wrong, without the checks of types that run in the other tests."""

import subprocess
import sys

SCRIPT = """
import torch

import abruptlab
from abruptlab import measure_attention

run = abruptlab.pretrained_run("pocket")
model = run.load("final")
batch = abruptlab.sample(run.config.task, batch=2, seed=0)
with torch.no_grad(), abruptlab.record(model, "embed") as activations:
    model(batch.tokens)
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
    "no recorded site is named 'blocks.9'; there are: embed": lambda: activations["blocks.9"],
    "at places 0 to 15, got float32 [4, 4]": lambda: model(torch.zeros(4, 4)),
    "at places 0 to 15, got int64 [16]": lambda: model(batch.tokens[0]),
}
for line, mistake in mistakes.items():
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
