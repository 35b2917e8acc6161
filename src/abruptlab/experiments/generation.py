"""What a decoder writes when it is given a masked matrix, beside its losses (figure 11)."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from abruptlab.arguments import checked
from abruptlab.errors import RunError
from abruptlab.experiments.estimate import Estimate, losses, pooled
from abruptlab.experiments.forward import load, parts, predict
from abruptlab.experiments.held_out import held_out
from abruptlab.experiments.level import hidden_level
from abruptlab.experiments.losses import measure_curves
from abruptlab.experiments.result import Outlined, stack
from abruptlab.model.decoder import Decoder
from abruptlab.model.generate import generate
from abruptlab.run.drop import Drop
from abruptlab.run.pretrained import pretrained_run, shipped_runs
from abruptlab.run.run import Run, Steps
from abruptlab.system.devices import choose_device
from abruptlab.system.tracking import track
from abruptlab.task.matrices import Batch
from abruptlab.task.sequences import prompts
from abruptlab.task.vocabulary import MASK, Vocabulary

PARTS = ("prompt", "observed", "masked")  # of the sequence: the prompt, and the answer's observed and hidden entries


@dataclass(frozen=True)
class Generation(Outlined):
    """How good the matrices are that a decoder writes, for one or many checkpoints.

    An id that is no value (MASK, SEP, the two without meaning) is never right, and counts as the value 0 in the error,
    as MASK does for the encoder.
    """

    accuracy_observed: Estimate  # share of entries that are right to the last decimal
    accuracy_masked: Estimate
    error_observed: Estimate  # mean squared error
    error_masked: Estimate
    no_value: Estimate  # share of ids that are no value


@dataclass(frozen=True)
class GptLearning(Outlined):
    """The losses of a decoder's training, and what its checkpoints write."""

    step: Int[np.ndarray, " step"]
    loss: Float[np.ndarray, "part step"]  # cross-entropy of the next token in nats, of each of PARTS
    smooth: Float[np.ndarray, "part step"]  # running means of it
    checkpoint: Int[np.ndarray, " checkpoint"]
    generation: Generation  # [checkpoint]
    copying_level: float  # mean squared error of writing 0
    drop: Drop | None  # of the observed part


@checked
def measure_gpt_learning(run: Run, steps: Steps | None = None, matrices: int = 256, seed: int = 0) -> GptLearning:
    """The losses over the steps of a decoder's run, and what it writes at the given checkpoints (default: all) for
    held-out matrices, always the same (figure 11).

    Raises `RunError` if the run's model is an encoder or has made no step yet, and `CheckpointError` for a step without
    a checkpoint.
    """
    run.require("decoder")
    curves = measure_curves(run)
    resolved = run.resolve_all((run.steps or ["final"]) if steps is None else steps)
    return GptLearning(
        step=curves.step,
        loss=curves.value[1:],  # of the parts, after that of the whole
        smooth=curves.smooth[1:],
        checkpoint=np.array(resolved),
        generation=stack([measure_generation(run, step, matrices, seed) for step in track(resolved, "checkpoints")]),
        copying_level=hidden_level(run),
        drop=curves.drop,
    )


@checked
def measure_generation(run: Run, step: int | str = "final", matrices: int = 256, seed: int = 0) -> Generation:
    """What the decoder of a checkpoint writes for held-out matrices.

    Raises `RunError` if the run's model is an encoder, and `CheckpointError` for a step without a checkpoint.
    """
    model, batch = run.load_decoder(step).to(choose_device()), held_out(run, matrices, seed)
    vocabulary = Vocabulary.of(run.config.matrices)
    return assess(write(model, batch, vocabulary), batch, vocabulary)


def write(model: Decoder, batch: Batch, vocabulary: Vocabulary) -> Int[Tensor, "matrix pos"]:
    """The ids that a decoder writes for each matrix, on the CPU."""
    return torch.cat([generate(model, part).cpu() for _, part in parts(model, prompts(batch, vocabulary))])


def assess(ids: Int[Tensor, "matrix pos"], batch: Batch, vocabulary: Vocabulary) -> Generation:
    """How far written ids are from the entries of a batch."""
    no_value = (ids == MASK) | (ids >= vocabulary.size)
    values = torch.where(no_value, 0.0, vocabulary.decode(ids.masked_fill(no_value, MASK)))
    right = (ids == vocabulary.encode(batch.values)).float()
    squared = (values - batch.values).square()
    return Generation(
        pooled(right, batch.observed),
        pooled(right, ~batch.observed),
        pooled(squared, batch.observed),
        pooled(squared, ~batch.observed),
        pooled(no_value.float(), torch.ones_like(batch.observed)),
    )


def measure_encoder_error(run: Run, matrices: int = 256, seed: int = 0) -> Estimate:
    """L_mask of the encoder of the package that has learnt the task of a decoder's run, on its held-out matrices.

    Raises `RunError` if none has; how far the vocabulary reaches makes no difference.
    """
    for encoder in map(pretrained_run, shipped_runs()):
        theirs = encoder.config.matrices
        if replace(run.config.matrices, limit=theirs.limit) == theirs:
            break
    else:
        raise RunError(f"no encoder of the package has learnt the task of {run.folder}")
    batch = held_out(run, matrices, seed)
    tokens = torch.where(batch.observed, Vocabulary.of(theirs).encode(batch.values), MASK)
    return losses(predict(load(encoder, "final"), tokens), batch)["loss_masked"]
