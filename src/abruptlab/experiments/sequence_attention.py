"""A decoder's attention maps before and after the drop (figure 12)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int

from abruptlab.experiments.evaluation import Estimate, held_out, pooled, recorded, stack
from abruptlab.system.devices import choose_device
from abruptlab.task.sequences import sequences
from abruptlab.task.vocabulary import Vocabulary

if TYPE_CHECKING:
    from abruptlab.model.decoder import Decoder
    from abruptlab.run.run import Run
    from abruptlab.task.matrices import Batch


@dataclass(frozen=True)
class SequenceAttention:
    """The attention of every head over [masked X, SEP, X], averaged over matrices, at some checkpoints."""

    step: Int[np.ndarray, " step"]
    entries: int  # m·n, so that SEP is the place of this number
    maps: Float[np.ndarray, "step layer head query key"]
    copying: Estimate  # [step, layer, head] share of the attention on the entry to be copied


def measure_sequence_attention(
    run: "Run", steps: Sequence[int | str] | None = None, matrices: int = 256, seed: int = 0
) -> SequenceAttention:
    """The maps of every head at the given checkpoints: by default in the middle of the plateau and after the drop (the
    first and the last, if there is none), as the paper's steps 200 and 600 are.

    The copying share is Σ|A|·M / Σ|A|, where M has, for each place of the answer whose next entry was observed, that
    entry's place in the prompt. Held-out matrices are given whole, the answer too.

    Raises `RunError` if the run's model is an encoder, and `CheckpointError` for a step without a checkpoint.
    """
    run.require("decoder")
    moments = run.milestones
    usual = [moments.get("before-drop", moments.get("start", "final")), moments.get("after-drop", "final")]
    batch, vocabulary = held_out(run, matrices, seed), Vocabulary.of(run.config.task)
    at = sorted({run.resolve(step) for step in (usual if steps is None else steps)})
    each = [attention_over_sequence(run.load_decoder(s).to(choose_device()), batch, vocabulary) for s in at]
    maps, copying = zip(*each, strict=True)
    return SequenceAttention(np.array(at), batch.tokens.shape[1], np.stack(maps), stack(copying))


def attention_over_sequence(
    model: "Decoder", batch: "Batch", vocabulary: Vocabulary
) -> tuple[Float[np.ndarray, "layer head query key"], Estimate]:
    """The mean maps of a model on the matrices of a batch, and the copying share [layer, head] of its heads."""
    tokens, entries = sequences(batch, vocabulary)[:, :-1], batch.tokens.shape[1]  # nothing is asked of the last place
    layers, heads = model.config.layers, model.config.heads
    names = [f"blocks.{layer}.attn.pattern" for layer in range(layers)]
    maps = torch.zeros(layers, heads, *[tokens.shape[1]] * 2, dtype=torch.float64)
    shares = torch.zeros(layers, heads, *batch.tokens.shape)
    for where, activations in recorded(model, tokens, names):
        for layer, name in enumerate(names):
            pattern = activations[name]  # [matrix, head, query, key]
            maps[layer] += pattern.sum(0).cpu()
            size = pattern[:, :, entries:].abs()  # SEP, before the first entry, to the last but one entry
            looked_up = size.diagonal(dim1=2, dim2=3) / size.sum(-1)
            shares[layer, :, where] = looked_up.transpose(0, 1).cpu()
    return (maps / len(tokens)).numpy(), pooled(shares, batch.observed)
