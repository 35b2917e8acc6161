"""A decoder's attention maps before and after the drop (figure 12)."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from abruptlab.arguments import checked
from abruptlab.experiments.estimate import Estimate, of_sums
from abruptlab.experiments.forward import recorded
from abruptlab.experiments.held_out import held_out_examples
from abruptlab.experiments.result import Outlined, stack
from abruptlab.model.decoder import Decoder
from abruptlab.run.run import Run, Steps
from abruptlab.system.devices import choose_device
from abruptlab.system.tracking import track
from abruptlab.task.base import Objective
from abruptlab.task.examples import Examples


@dataclass(frozen=True)
class SequenceAttention(Outlined):
    """The attention of every head over the sequence, averaged over examples, at some checkpoints."""

    step: Int[np.ndarray, " step"]
    entries: int  # tokens of the prompt (m·n), so that SEP is the place of this number
    maps: Float[np.ndarray, "step layer head query key"]
    copying: Estimate  # [step, layer, head] share of the attention on what the query needs: the entry to be copied


@checked
def measure_sequence_attention(
    run: Run, steps: Steps | None = None, matrices: int = 256, seed: int = 0
) -> SequenceAttention:
    """The maps of every head at the given checkpoints: by default in the middle of the plateau and after the drop (the
    first and the last, if there is none), as the paper's steps 200 and 600 are.

    The share on what is needed is Σ|A|·M / Σ|A| over the queries that need something, with M their useful keys
    (`Objective.useful`): for matrices, where the next entry was observed, that entry's place in the prompt. Held-out
    examples are given whole, the answer too.

    Raises `RunError` if the run's model is an encoder, and `CheckpointError` for a step without a checkpoint.
    """
    moments = run.milestones
    usual = [moments.get("before-drop", moments.get("start", "final")), moments.get("after-drop", "final")]
    resolved = run.resolve_all(usual if steps is None else steps)
    models = (run.load_decoder(step).to(choose_device()) for step in track(resolved, "checkpoints"))
    batch, objective = held_out_examples(run, matrices, seed), run.objective
    maps, useful = zip(*(attention_over_sequence(model, batch, objective) for model in models), strict=True)
    return SequenceAttention(np.array(resolved), objective.answer - 1, np.stack(maps), stack(useful))


def attention_over_sequence(
    model: Decoder, batch: Examples, objective: Objective
) -> tuple[Float[np.ndarray, "layer head query key"], Estimate]:
    """The mean maps of a model on the examples of a batch, and the share [layer, head] of its heads' attention that is
    on what the queries need."""
    tokens, useful, first = objective.inputs(batch), objective.useful(batch), objective.answer - 1
    useful = useful[:, first:]  # the place before the answer is the first of which anything is asked
    layers, heads = model.config.layers, model.config.heads
    maps = torch.zeros(layers, heads, *[tokens.shape[1]] * 2, dtype=torch.float64)
    needed, whole = torch.zeros(2, layers, heads, len(tokens), dtype=torch.float64)
    for where, activations in recorded(model, tokens, ["blocks.*.attn.pattern"]):
        for layer, pattern in enumerate(activations.values()):  # [example, head, query, key]
            maps[layer] += pattern.sum(0).cpu()
            keys = useful[where, None].to(pattern.device)
            size = pattern[:, :, first:].abs() * keys.any(-1, keepdim=True)
            needed[layer, :, where] = (size * keys).sum((-2, -1)).T.double().cpu()
            whole[layer, :, where] = size.sum((-2, -1)).T.double().cpu()
    return (maps / len(tokens)).numpy(), of_sums(needed, whole)
