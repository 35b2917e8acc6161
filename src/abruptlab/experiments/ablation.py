"""Constant-attention ablation (the text's "uniform ablation"): the losses once heads no longer choose where to look.

The attention map of a head gives way to one that is the same for all matrices: `uniform`, 1/(m·n) everywhere, as the
text calls it; `mean`, the head's own mean map over the matrices, as in the authors' code; or `zero`, a map of zeros,
so that the head's output z is zero. They say different things: a head that looks at places, whatever stands there,
loses nothing by its own mean map. As in the authors' code, the mean is taken inside the ablated pass, where the layers
below may be ablated already, over the matrices of that pass (`forward.PART`).
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from abruptlab.errors import ConfigError, SiteError
from abruptlab.experiments.estimate import Losses, differences, losses
from abruptlab.experiments.forward import loaded, predict, recorded
from abruptlab.experiments.held_out import held_out
from abruptlab.experiments.result import Outlined, stack
from abruptlab.model import sites
from abruptlab.model.encoder import Encoder

if TYPE_CHECKING:
    from abruptlab.run.run import Run

Head = tuple[int, int]  # layer and head, both counted from 0

REPLACEMENTS = ("uniform", "mean", "zero")
RESTORED = 0.9  # of the plateau: the edge of its band, where the detector puts the onset of the drop
TOLERATED = 1.1  # of the intact loss L
SEARCHED = 128  # matrices on which a greedy search compares heads; the chosen sets are then measured on others


@dataclass(frozen=True)
class Ablation(Outlined):
    """A checkpoint with a set of heads ablated, and without."""

    step: int
    replacement: str
    heads: Int[np.ndarray, "heads 2"]  # layer and head
    intact: Losses
    ablated: Losses
    difference: Losses  # ablated − intact, on the same matrices


@dataclass(frozen=True)
class SingleAblations(Outlined):
    """A checkpoint with each single head ablated in each way; replacements in the order of `REPLACEMENTS`."""

    step: int
    plateau: float  # L_mask before the drop
    intact: Losses
    ablated: Losses  # [replacement, layer, head]
    difference: Losses  # [replacement, layer, head] ablated − intact, on the same matrices


@dataclass(frozen=True)
class Removal(Outlined):
    """Heads ablated one after another."""

    heads: Int[np.ndarray, "removed 2"]  # layer and head, in this order
    ablated: Losses  # [1 + removed] with the first 0, 1, 2, … of them ablated
    difference: Losses  # [1 + removed] ablated − intact, on the same matrices


@dataclass(frozen=True)
class GreedyAblation(Outlined):
    """A checkpoint with greedy sets of heads ablated."""

    step: int
    replacement: str
    plateau: float  # L_mask before the drop
    harmful: Removal  # each next head raises L_mask most, until it is back at the plateau
    harmless: Removal  # each next head raises L least, until L is more than 10 % above the intact model's

    @property
    def fewest(self) -> int | None:
        """How many heads it takes to bring L_mask back to the plateau; None if all of them do not."""
        enough = np.flatnonzero(_restored(self.harmful.ablated.loss_masked.mean, self.plateau))
        return int(enough[0]) if len(enough) else None

    @property
    def most(self) -> int:
        """How many heads may go with L within 10 % of the intact model's."""
        loss = self.harmless.ablated.loss.mean
        return int((loss <= TOLERATED * loss[0]).sum()) - 1


def measure_ablation(
    run: "Run",
    heads: Collection[Head] | None = None,
    replacement: str = "uniform",
    step: int | str = "final",
    matrices: int = 512,
    seed: int = 0,
) -> Ablation:
    """L, L_obs and L_mask with a set of heads (None: all of them) ablated together, and without.

    Raises `SiteError` for a head and `ConfigError` for a replacement that does not exist, `CheckpointError` for a step
    without a checkpoint.
    """
    at, model = loaded(run, step)
    batch = held_out(run, matrices, seed)
    heads = all_heads(model) if heads is None else sorted(set(heads))
    intact = predict(model, batch.tokens)
    ablated = predict_ablated(model, batch.tokens, heads, replacement)
    return Ablation(
        at,
        replacement,
        _table(heads),
        losses(intact, batch),
        losses(ablated, batch),
        differences(ablated, intact, batch),
    )


def measure_single_ablations(
    run: "Run", step: int | str = "final", matrices: int = 256, seed: int = 0
) -> SingleAblations:
    """L, L_obs and L_mask with each single head ablated, by each of the `REPLACEMENTS`.

    Raises `CheckpointError` for a step without a checkpoint.
    """
    at, model = loaded(run, step)
    batch = held_out(run, matrices, seed)
    intact = predict(model, batch.tokens)
    predictions = torch.stack([_predict_each(model, batch.tokens, replacement) for replacement in REPLACEMENTS])
    return SingleAblations(
        at, plateau(run), losses(intact, batch), losses(predictions, batch), differences(predictions, intact, batch)
    )


def measure_greedy_ablation(
    run: "Run", replacement: str = "uniform", step: int | str = "final", matrices: int = 512, seed: int = 0
) -> GreedyAblation:
    """The fewest heads whose ablation restores the plateau's L_mask, and the most that may go with L within 10 %.

    Both are greedy: one head at a time, found on `SEARCHED` matrices and measured on `matrices` others, so that the
    choice does not flatter the result. A better set may exist. It takes about (heads of the model) × (fewest + 5)
    forward passes.

    Raises `ConfigError` for a replacement that does not exist, `CheckpointError` for a step without a checkpoint.
    """
    at, model = loaded(run, step)
    both = held_out(run, SEARCHED + matrices, seed)
    search, batch = both[:SEARCHED], both[SEARCHED:]
    _known(replacement)
    level, intact = plateau(run), predict(model, batch.tokens)

    @cache
    def searched(*heads: Head) -> Losses:
        return losses(predict_ablated(model, search.tokens, heads, replacement), search)

    def most_harmful(removed: Sequence[Head]) -> Head:
        # All heads every time: one that does the same work as another hurts only once that one is gone.
        candidates = (head for head in all_heads(model) if head not in removed)
        return max(candidates, key=lambda head: float(searched(*removed, head).loss_masked.mean))

    harm = dict.fromkeys(all_heads(model), -math.inf)

    def least_harmful(removed: Sequence[Head]) -> Head:
        # Lazily (Minoux 1978): the fewer are left, the more a head's removal hurts, so what it did earlier is a
        # lower bound and only the heads that look best are looked at again. It spares most of the heads² evaluations.
        before, fresh = searched(*removed).loss.mean, set()
        while (head := min(harm, key=harm.__getitem__)) not in fresh:
            harm[head] = float(searched(*removed, head).loss.mean - before)
            fresh.add(head)
        del harm[head]
        return head

    def remove(choose: Callable[[Sequence[Head]], Head], enough: Callable[[Losses], bool]) -> Removal:
        removed: list[Head] = []
        curve = [(losses(intact, batch), differences(intact, intact, batch))]
        while len(removed) < len(all_heads(model)) and not enough(curve[-1][0]):
            removed.append(choose(removed))
            predictions = predict_ablated(model, batch.tokens, removed, replacement)
            curve.append((losses(predictions, batch), differences(predictions, intact, batch)))
        return Removal(_table(removed), *(stack(column) for column in zip(*curve, strict=True)))

    most = TOLERATED * losses(intact, batch).loss.mean
    return GreedyAblation(
        at,
        replacement,
        level,
        harmful=remove(most_harmful, lambda found: bool(_restored(found.loss_masked.mean, level))),
        harmless=remove(least_harmful, lambda found: bool(found.loss.mean > most)),
    )


def predict_ablated(
    model: Encoder,
    tokens: Int[Tensor, "matrix pos"],
    heads: Collection[Head],
    replacement: str,
) -> Float[Tensor, "matrix pos"]:
    """The predicted value of every token with the attention of `heads` replaced by constant maps (`REPLACEMENTS`).

    Raises `SiteError`, saying which heads there are, for one that does not exist, and `ConfigError` likewise for a
    replacement.
    """
    strange = sorted(set(heads) - set(all_heads(model)))
    if strange:
        raise SiteError(
            f"no head {strange[0][0]}.{strange[0][1]} (layer.head); this model has layers 0 to "
            f"{model.config.layers - 1} with heads 0 to {model.config.heads - 1} each"
        )

    return predict(model, tokens, _swaps(heads, _known(replacement)))


def _predict_each(
    model: Encoder, tokens: Int[Tensor, "matrix pos"], replacement: str
) -> Float[Tensor, "layer head matrix pos"]:
    """`predict_ablated` for every head alone; the layers below it are run once for all, which saves half the time."""
    layers, heads = model.config.layers, model.config.heads
    entering = ["embed", *(f"blocks.{layer}.resid_post" for layer in range(layers - 1))]
    parts = []
    for _, activations in recorded(model, tokens, entering):
        predictions = []
        for layer, head in all_heads(model):
            rest = nn.Sequential(*list(model.blocks)[layer:], model.readout)
            with torch.no_grad(), sites.replace(model, _swaps([(layer, head)], replacement)):
                predictions.append(rest(activations[entering[layer]]).squeeze(-1).cpu())
        parts.append(torch.stack(predictions).unflatten(0, (layers, heads)))
    return torch.cat(parts, dim=2)


def _known(replacement: str) -> str:
    if replacement not in REPLACEMENTS:
        raise ConfigError(f"no replacement {replacement!r}; there are: {', '.join(REPLACEMENTS)}")
    return replacement


def _swaps(heads: Collection[Head], replacement: str) -> dict[str, Callable[[Tensor], Tensor]]:
    """What `sites.replace` takes to put constant maps in the place of the heads' attention."""
    by_layer = {layer: sorted(head for at, head in set(heads) if at == layer) for layer, _ in heads}

    def swap(chosen: list[int], pattern: Float[Tensor, "part head query key"]) -> Float[Tensor, "part head query key"]:
        pattern = pattern.clone()
        constant = {"uniform": 1 / pattern.shape[-1], "zero": 0.0}
        pattern[:, chosen] = constant[replacement] if replacement in constant else pattern[:, chosen].mean(0)
        return pattern

    return {f"blocks.{layer}.attn.pattern": partial(swap, chosen) for layer, chosen in by_layer.items()}


def all_heads(model: Encoder) -> list[Head]:
    """Every head of the model as (layer, head)."""
    return [(layer, head) for layer in range(model.config.layers) for head in range(model.config.heads)]


def plateau(run: "Run") -> float:
    """L_mask before the run's drop; that of predicting zero if it has none."""
    return run.config.matrices.copying_level if run.drop is None else run.drop.plateau


def _table(heads: Sequence[Head]) -> Int[np.ndarray, "heads 2"]:
    return np.array(heads, dtype=np.int64).reshape(-1, 2)


def _restored(loss_masked: Float[np.ndarray, "*sets"], level: float) -> np.ndarray:
    return np.asarray(loss_masked >= RESTORED * level)
