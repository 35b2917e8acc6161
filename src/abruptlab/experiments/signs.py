"""What may tell of a drop beside the follow-up paper's measures: the entropy of the attention, the loss on what is
easy, and how much of the target a linear probe reads.

Each is one number for a checkpoint, on held-out examples.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from abruptlab.experiments.answer_probes import measure_answer_probes
from abruptlab.experiments.forward import load, loaded_model, parts, predict
from abruptlab.experiments.held_out import held_out, held_out_examples
from abruptlab.experiments.probes import PLACES, measure_probes
from abruptlab.model import sites
from abruptlab.model.collapse import asked
from abruptlab.run.run import Run
from abruptlab.task.matrices import Batch

FITTED = 512  # examples that a probe is fitted to


def other_signs(run: Run, step: int, matrices: int = 256, seed: int = 0) -> dict[str, float]:
    """The measures of a checkpoint that the run's task has, by name.

    Raises `CheckpointError` for a step without a checkpoint.
    """
    measures = {"attention, entropy": attention_entropy(run, step, matrices, seed)}
    if run.objective.kind == "encoder":
        return measures | {
            "the loss on easy entries": easy_loss(run, step, matrices, seed),
            "a probe of the hidden entries": read_of_entries(run, step, matrices, seed),
        }
    if run.objective.kind == "sequence":
        measures["a probe of the answer"] = read_of_answers(run, step, matrices, seed)
    return measures


@torch.no_grad()
def attention_entropy(run: Run, step: int, matrices: int = 256, seed: int = 0) -> float:
    """The mean entropy in nats of where a query looks, |A| / Σ|A|, over all heads and those queries of which something
    is asked."""
    (_, model), objective = loaded_model(run, step), run.objective
    means: list[Float[Tensor, " example"]] = []

    def see(pattern: Tensor) -> Tensor:
        share = asked(pattern.abs(), objective, -2).cpu().double()
        share = share / share.sum(-1, keepdim=True)
        means.append(torch.special.entr(share).sum(-1).flatten(1).mean(1))
        return pattern

    with sites.replace(model, {"blocks.*.attn.pattern": see}):
        for _, part in parts(model, objective.inputs(held_out_examples(run, matrices, seed))):
            model(part)
    return float(torch.cat(means).mean())


def easy_loss(run: Run, step: int, matrices: int = 256, seed: int = 0) -> float:
    """L_mask over the hidden entries that some 2×2 block of three observed ones would give at rank 1."""
    batch = held_out(run, matrices, seed)
    error = (predict(load(run, step), batch.tokens) - batch.values).square()
    return float(error[easy_entries(batch)].double().mean())


def easy_entries(batch: Batch) -> Bool[Tensor, "matrix pos"]:
    """The hidden entries x_ij with x_il, x_kj and x_kl observed for some row k and column l."""
    seen = batch.observed.unflatten(1, batch.size).double()
    blocks = seen @ seen.mT @ seen  # Σ over k, l of the three's product; where k = i or l = j, x_ij itself is a factor
    return (blocks > 0).flatten(1) & ~batch.observed


def read_of_entries(run: Run, step: int, matrices: int = 256, seed: int = 0) -> float:
    """The error at hidden places of the best linear probe of an entry's true value, over that of chance."""
    element = measure_probes(run, step, train=FITTED, matrices=matrices, seed=seed).element
    hidden = PLACES.index("hidden")
    return float((element.mse.mean[:, hidden] / element.chance_mse.mean[:, hidden]).min())


def read_of_answers(run: Run, step: int, matrices: int = 256, seed: int = 0) -> float:
    """The share of the answer that the best linear probe reads."""
    return float(measure_answer_probes(run, [step], train=FITTED, matrices=matrices, seed=seed).right.mean.max())
