"""What a person in a notebook gets wrong, without the checks of types that run in the other tests."""

from tests.forks import unchecked

SCRIPT = """
from dataclasses import replace
from inspect import signature

import torch

import abruptlab
from abruptlab import measure_attention
from abruptlab.experiments.estimate import losses
from abruptlab.experiments.held_out import held_out
from abruptlab.experiments.patching import Patch
from abruptlab.model.huggingface import to_huggingface

run = abruptlab.pretrained_run("pocket")
config = run.config
model = run.load("final")
decoder = abruptlab.Decoder(abruptlab.preset("gpt-laptop").model, 40, 25)
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


def replaced(function):
    with abruptlab.replace(model, {"embed": function}):
        model(batch.tokens)


mistakes = {
    "mask: expected random, rows, columns or single, got 'rand'": lambda: measure_attention(run, mask="rand"),
    "mask: expected random, rows, columns or single, got None": lambda: measure_attention(run, mask=None),
    "a whole number of at least 1, got 0": lambda: measure_attention(run, matrices=0),
    "matrices: expected int, got 2.5": lambda: measure_attention(run, matrices=2.5),
    "matrices: expected int, got True": lambda: measure_attention(run, matrices=True),
    "heads: expected a list of (int, int), Int[ndarray, 'head 2'] or None, got ['1.1']": (
        lambda: abruptlab.measure_ablation(run, ["1.1"], matrices=2)
    ),
    "names: expected str or a list of str, got 3": lambda: abruptlab.record(model, 3).__enter__(),
    "names: expected str or a list of str, got None": lambda: abruptlab.record(model, None).__enter__(),
    "site embed: expected a function of one argument, the activation, got one of other arguments": (
        lambda: abruptlab.replace(model, {"embed": lambda activation, hook: activation}).__enter__()
    ),
    "site embed: expected a function of one argument, the activation, got int": (
        lambda: abruptlab.replace(model, {"embed": 0}).__enter__()
    ),
    "heads: expected a list of int or None, got [1.5]": lambda: Patch("blocks.0.attn.z", heads=[1.5]),
    "positions: expected a list of int or None, got 0": lambda: Patch("embed", positions=0),
    "site: expected the name of one site, got 'blocks.*.attn.z'": lambda: Patch("blocks.*.attn.z"),
    "no recorded site is named 'blocks.9'; there are: embed": lambda: activations["blocks.9"],
    "config: expected a RunConfig, as abruptlab.preset(name) gives, got 'pocket'": (
        lambda: abruptlab.train("pocket", "no")
    ),
    "matrices: expected int, got '4'": lambda: measure_attention(run, matrices="4"),
    "matrices: expected a whole number of at least 1, got 0": (
        lambda: abruptlab.measure_greedy_ablation(run, matrices=0)
    ),
    "at places 0 to 15, got bool [2, 4]": lambda: model(torch.zeros(2, 4, dtype=torch.bool)),
    "at places 0 to 15, got a Batch": lambda: model(batch),
    "at places 0 to 15, got float32 [4, 4]": lambda: model(torch.zeros(4, 4)),
    "seed: expected int, got 1.5": lambda: replace(config, seed=1.5),
    "model: expected a ModelConfig, got {'width': 3}": lambda: replace(config, model={"width": 3}),
    "steps: expected int, got '3'": lambda: replace(config.training, steps="3"),
    "learning_rate: expected float, got None": lambda: replace(config.training, learning_rate=None),
    "micro_batch: expected int or None, got 2.0": lambda: replace(config.training, micro_batch=2.0),
    "trained: expected a list of str, got 'mlp'": lambda: replace(config.start, run="laptop", trained="mlp"),
    "rank: expected int, got 1.5": lambda: replace(config.task, rank=1.5),
    "sizes: expected a list of (int, int), got (7, 7)": lambda: replace(config.task, sizes=(7, 7)),
    "length: expected int, got '8'": lambda: replace(abruptlab.preset("window-sum").task, length="8"),
    "task: expected a MatrixTask, as Run.config.task gives, got a Run": lambda: abruptlab.sample(run, 2, 0),
    "batch: expected a whole number of at least 1, got -1": lambda: abruptlab.sample(config.task, batch=-1, seed=0),
    "seed: expected a whole number of at least 0, got -1": lambda: abruptlab.sample(config.task, batch=2, seed=-1),
    "at places 0 to 15, got int64 [16]": lambda: model(batch.tokens[0]),
    "model: expected a Module, as Run.load(step) gives, got a Run": lambda: abruptlab.record(run, "embed"),
    "model: expected a Decoder, as Run.load(step) gives, got an Encoder": (
        lambda: abruptlab.generate(model, batch.tokens)
    ),
    "sweep: expected a Sweep, as abruptlab.Sweep(folder) gives, got a Run": lambda: abruptlab.measure_variants(run),
    "attention: expected an Attention, got a Run": lambda: abruptlab.draw_attention(run),
    "model: expected Encoder or Decoder, got a Run": lambda: to_huggingface(run),
    "steps: expected at least one, got none": lambda: abruptlab.measure_attention_over_time(run, []),
    "embeddings: expected one checkpoint, as measure_embeddings gives, got several": (
        lambda: abruptlab.draw_embeddings(abruptlab.measure_embeddings_over_time(run, ["final"]))
    ),
    "embeddings: expected checkpoints, as measure_embeddings_over_time gives, got a single one": (
        lambda: abruptlab.draw_tokens_over_time(abruptlab.measure_embeddings(run))
    ),
    "no target 'rows'; there are: row, column, ": (
        lambda: abruptlab.draw_probes(abruptlab.measure_probes(run, train=200, matrices=4), ["rows"])
    ),
    "predictions: expected numbers [..., 2, 16], got float32 [1, 16]": lambda: losses(model(batch.tokens)[:1], batch),
    "predictions: expected Float[Tensor, '*condition matrix pos'], got a Tensor, int64 [2, 16]": (
        lambda: losses(batch.tokens, batch)
    ),
    "step: expected a whole number of at least 0, got -1": lambda: abruptlab.sample(config.task, 2, 0, step=-1),
    "device 'gpu': expected one of": lambda: abruptlab.sample(config.task, 2, 0, device="gpu"),
    "matrices of each of 64 steps takes at least": lambda: abruptlab.sample(config.task, 10**9, 0),
    "no field 'ranks' of a task; there are: sizes, rank, ": lambda: held_out(run, 2, ranks=2),
    "expected the vocabulary of the matrices' own task, got Vocabulary(limit=2": (
        lambda: abruptlab.sequences(batch, abruptlab.Vocabulary(2.0, 2))
    ),
    "ids: expected Int[Tensor, '*shape'], got a Tensor, float32 [1]": (
        lambda: abruptlab.Vocabulary(1.0, 2).decode(torch.tensor([3.7]))
    ),
    "decimals: expected a whole number of at least 0, got -1": lambda: abruptlab.Vocabulary(2.0, -1),
    "prompts: expected prompts of 1 to 24 tokens, which leave places to fill, got int64 [2, 25]": (
        lambda: abruptlab.generate(decoder, torch.zeros(2, 25, dtype=torch.int64))
    ),
    "cannot read nowhere.toml: No such file": lambda: abruptlab.RunConfig.read("nowhere.toml"),
    "no site 'blocks.0.attn.patern'; this model has: ": (
        lambda: abruptlab.record(model, "blocks.0.attn.patern").__enter__()
    ),
    "folder: expected Path or str, got 3": lambda: abruptlab.Run(3),
    "step: expected int or str, got 2.5": lambda: run.load(2.5),
    "glob: expected str, got ['embed']": lambda: activations.stack(["embed"]),
    "seed: expected a whole number from 0 to 4294967295, got -1": lambda: abruptlab.measure_embeddings(run, seed=-1),
    "checkpoints: expected a list of str, Path or (str, str), got 'gpt2'": (
        lambda: abruptlab.measure_language_models("gpt2", batch.tokens)
    ),
    "inputs: expected a Tensor, got a ndarray, int64 [2, 16]": (
        lambda: abruptlab.record_shapes(model, "embed", batch.tokens.numpy())
    ),
    "groups: expected at least one, got none": lambda: abruptlab.measure_switch(run, [], matrices=2),
    "groups: expected each once, got mlp 2 times": lambda: abruptlab.measure_switch(run, ["mlp", "mlp"], matrices=2),
    "groups: expected each once, got read-out 2 times": (
        lambda: abruptlab.measure_switching(run, groups=["read-out", "read-out"], matrices=2)
    ),
    "vocabulary_size: expected a whole number of at least 1, got 0": lambda: abruptlab.Encoder(config.model, 0, 16),
    "positions: expected a whole number of at least 1, got 0": lambda: abruptlab.Decoder(decoder.config, 40, 0),
    "positions: expected whole rows of 3 columns, got 16": (
        lambda: abruptlab.Encoder(replace(config.model, positions="row+column"), 40, 16, 3)
    ),
    "start: expected a whole number of at least 0, got 5.5": lambda: next(config.task.stream(2, 0, 5.5)),
    "site embed: expected a replacement that is float32 [2, 16, 32], got int64 [2, 16, 32]": (
        lambda: replaced(lambda activation: activation.long())
    ),
}
no_run = "run: expected a Run, as abruptlab.Run(folder) or abruptlab.pretrained_run(name) gives, got 'laptop'"
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
    unchecked(SCRIPT)
