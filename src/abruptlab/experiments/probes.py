"""Linear probes (figures 6, 20, 21): what one linear map for all tokens reads off each layer's output.

A token's targets are its matrix row and its column, as the model is given them (hidden entries as 0), and what is to
be found out: its true value, and the top left singular vector of the true matrix.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from abruptlab.arguments import checked, require, require_count
from abruptlab.experiments.estimate import Estimate, pooled
from abruptlab.experiments.forward import loaded, recorded
from abruptlab.experiments.held_out import held_out
from abruptlab.experiments.result import Outlined, stack
from abruptlab.model.encoder import Encoder
from abruptlab.run.run import Run
from abruptlab.task.matrices import Batch

PLACES = ("all", "observed", "hidden")  # the kinds of places that a probe is judged on
SHUFFLES = 8  # of the targets, for the chance level


@dataclass(frozen=True)
class Probe(Outlined):
    """How well one target is read off each site, on matrices that the probe was not fitted to.

    Chance is the mean over probes fitted to shuffled targets, with its standard error over the shuffles.
    """

    mse: Estimate  # [site, places]
    cosine: Estimate  # [site, places]
    chance_mse: Estimate  # [site, places]
    chance_cosine: Estimate  # [site, places]


@dataclass(frozen=True)
class Probes(Outlined):
    """The probes of one checkpoint; `places` are PLACES."""

    step: int
    sites: Shaped[np.ndarray, " site"]  # names: the embeddings, then every layer's output
    row: Probe
    column: Probe
    element: Probe
    singular_vector: Probe  # judged up to its sign


@checked
def measure_probes(
    run: Run,
    step: int | str = "final",
    ridge: float = 0.0,
    train: int = 2048,
    matrices: int = 256,
    seed: int = 0,
    as_authors: bool = False,
) -> Probes:
    """Figures 6, 20 and 21: probes fitted to `train` held-out matrices and judged on `matrices` others.

    `as_authors` takes what the authors' code does otherwise, for numbers beside theirs: cosines are absolute, a target
    of zeros counts with a cosine of 0, and singular vectors have the sign that the decomposition happens to give.

    Both are drawn at once and then divided, so that they have no matrix in common. `ridge` as in `probe`. Raises
    `CheckpointError` for a step without a checkpoint and `ConfigError` for a negative `ridge`, no matrices, or so few
    to fit to that a shuffle of the targets would give a matrix its own.
    """
    require(ridge >= 0, "ridge", "0 or more", ridge)
    require_count(train, "train", SHUFFLES + 1)
    require_count(matrices, "matrices")
    resolved, model = loaded(run, step)
    batch = held_out(run, matrices + train, seed)
    return Probes(
        resolved, np.array(layer_outputs(model)), **probe(model, batch[matrices:], batch[:matrices], ridge, as_authors)
    )


def layer_outputs(model: Encoder) -> list[str]:
    """The sites that are probed: the embeddings and every layer's output."""
    return ["embed", *(f"blocks.{layer}.resid_post" for layer in range(model.config.layers))]


def probe(
    model: Encoder, training: Batch, test: Batch, ridge: float = 0.0, as_authors: bool = False
) -> dict[str, Probe]:
    """Probes from every layer's output to every target, fitted to `training` and judged on `test`, by target.

    They are least squares without a bias, with `ridge` times the squared weights added to the mean squared error;
    `as_authors` as in `measure_probes`.
    """
    maps = _fit(model, training, ridge, as_authors)
    parts: dict[str, list[Tensor]] = {name: [] for name in maps}
    for _, activations in recorded(model, test.tokens, [*maps]):
        for name, activation in activations.items():
            # [fit, part, pos, answer]; float32, as all of them are kept
            parts[name].append((activation.cpu().double() @ maps[name].unsqueeze(1)).float())
    predictions = torch.stack([torch.cat(of_site, 1) for of_site in parts.values()])
    truths = targets(test, raw_signs=as_authors)
    each = predictions.split([truth.shape[-1] for truth in truths.values()], -1)
    found = {}
    for (target, truth), predicted in zip(truths.items(), each, strict=True):
        estimates = score(predicted, truth, test.observed, target == "singular_vector", as_authors)
        fitted, chance = zip(*map(_apart, estimates), strict=True)
        found[target] = Probe(*fitted, *chance)
    return found


def targets(batch: Batch, raw_signs: bool = False) -> dict[str, Float[Tensor, "matrix pos _"]]:
    """What is to be read off every token, by name; one of the two signs of the singular vector (`raw_signs`: the one
    that the decomposition gives)."""
    rows, columns = batch.size
    values = batch.values.unflatten(1, batch.size)
    given = (batch.values * batch.observed).unflatten(1, batch.size)
    left, _, right = torch.linalg.svd(values, full_matrices=False)
    # The vector has to change its sign with the matrix: in hidden states that do so, a linear map finds nothing of a
    # target that is the same for X and −X. With the sign for which the right vector's sum is positive, it does.
    flipped = (right[:, 0].sum(-1, keepdim=True) < 0) & (not raw_signs)
    sign = torch.where(flipped, -1.0, 1.0)
    return {
        "row": given.repeat_interleave(columns, 1),
        "column": given.mT.repeat(1, rows, 1),
        "element": batch.values.unsqueeze(-1),
        "singular_vector": (sign * left[:, :, 0]).unsqueeze(1).expand(-1, rows * columns, -1),
    }


def _fit(model: Encoder, batch: Batch, ridge: float, as_authors: bool) -> dict[str, Float[Tensor, "fit width answer"]]:
    """By site, the linear map to all targets side by side; after it (fit 0), those to SHUFFLES shuffled targets.

    In a shuffle, each matrix gets the targets of another one, some matrices further on: they are independent. Sums
    over tokens are taken in float64 on the CPU, part by part: the hidden states of all tokens at once would be
    gigabytes, and not every accelerator has float64.
    """
    names, width = layer_outputs(model), model.config.width
    answers = torch.cat([*targets(batch, raw_signs=as_authors).values()], -1)
    squares = {name: torch.zeros(width, width, dtype=torch.float64) for name in names}
    products = {name: torch.zeros(1 + SHUFFLES, width, answers.shape[-1], dtype=torch.float64) for name in names}
    for where, activations in recorded(model, batch.tokens, names):
        others = torch.arange(len(answers))[where] + torch.arange(1 + SHUFFLES).unsqueeze(1)  # [fit, part]
        answer = answers[others % len(answers)].flatten(1, 2).double()
        for name, activation in activations.items():
            states = activation.cpu().double().flatten(0, 1)
            squares[name] += states.mT @ states
            products[name] += states.mT @ answer
    tokens = batch.tokens.numel()
    return {name: least_squares(squares[name] / tokens, products[name] / tokens, ridge) for name in names}


def least_squares(
    squares: Float[Tensor, "width width"], products: Float[Tensor, "*fit width answer"], ridge: float = 0.0
) -> Float[Tensor, "*fit width answer"]:
    """The linear map from states to answers, from the sums of states · states and states · answers; `ridge` as in
    `probe`."""
    if ridge > 0:
        return torch.linalg.solve(squares + ridge * torch.eye(len(squares), dtype=squares.dtype), products)
    # Hidden states leave some directions empty (LayerNorm alone fixes their mean), where the normal equations divide
    # rounding by rounding. The pseudo-inverse leaves them out and gives the least squares solution of least norm.
    return torch.linalg.pinv(squares, hermitian=True) @ products


def _apart(estimate: Estimate) -> tuple[Estimate, Estimate]:
    """An estimate [places, site, fit] as that of the probe, and the mean over the shuffles, both [site, places]."""
    mean, error = estimate.mean.T, estimate.error.T
    chance = Estimate(mean[1:].mean(0), mean[1:].std(0, ddof=1) / np.sqrt(SHUFFLES))
    return Estimate(mean[0], error[0]), chance


def score(
    predictions: Float[Tensor, "*condition matrix pos size"],
    truth: Float[Tensor, "matrix pos size"],
    observed: Bool[Tensor, "matrix pos"],
    signless: bool = False,
    as_authors: bool = False,
) -> tuple[Estimate, Estimate]:
    """The mean squared error and the cosine similarity, [places, *condition] each, to `truth` or, if `signless`, to the
    nearer of ±`truth`.

    The cosine is that of a token's prediction and its target, which says nothing of numbers (a target of size 1):
    theirs is over the places of a matrix. Targets that are zero (a row without observed entries) have none, or 0
    `as_authors`, whose cosines are absolute.
    """
    if signless:
        predictions = torch.where((predictions * truth).sum(-1, keepdim=True) < 0, -predictions, predictions)
    squared = (predictions - truth).square().mean(-1)
    chosen = (torch.ones_like(observed), observed, ~observed)
    return (
        stack([pooled(squared, places) for places in chosen]),
        stack([_cosine(predictions, truth, places, as_authors) for places in chosen]),
    )


def _cosine(
    predictions: Float[Tensor, "*condition matrix pos size"],
    truth: Float[Tensor, "matrix pos size"],
    places: Bool[Tensor, "matrix pos"],
    as_authors: bool,
) -> Estimate:
    if truth.shape[-1] == 1:  # all numbers of a matrix as one vector
        predictions, truth = ((numbers.squeeze(-1) * places).unsqueeze(-2) for numbers in (predictions, truth))
        places = torch.ones_like(places[:, :1])
    cosines = torch.cosine_similarity(predictions, truth, dim=-1)
    return pooled(cosines.abs(), places) if as_authors else pooled(cosines, places & truth.any(-1))
