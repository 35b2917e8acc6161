"""The metrics of any task, example by example, of a model with something inside it replaced."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from abruptlab.experiments.estimate import Losses, of_sums
from abruptlab.experiments.forward import parts
from abruptlab.experiments.result import Outlined
from abruptlab.model import sites
from abruptlab.model.build import Model
from abruptlab.task.base import Objective
from abruptlab.task.examples import Examples


@dataclass(frozen=True)
class Shown(Outlined):
    """The losses that a figure of a run has room for, by name: that whose drop is looked for, and the other parts of
    the whole loss; of matrices L_mask and L_obs."""

    names: tuple[str, ...]
    symbols: tuple[str, ...]  # short, such as L_mask
    unit: str

    @classmethod
    def of(cls, objective: Objective) -> "Shown":
        """Those of a kind of run."""
        parts = sorted(objective.curves[1:], key=lambda metric: metric.name != objective.falling)
        return cls(
            tuple(metric.name for metric in parts), tuple(metric.symbol for metric in parts), objective.drops.unit
        )


@dataclass(frozen=True)
class Scores:
    """What each metric (`Objective.metrics`) sums up over each example, for one or many conditions on the same ones."""

    names: tuple[str, ...]  # of the metrics
    totals: tuple[Float[Tensor, "*condition example"], ...]  # of each metric
    counts: tuple[Float[Tensor, " example"], ...]  # of the places that it is over

    @property
    def losses(self) -> Losses:
        """The metrics, with standard errors over examples."""
        each = zip(self.names, self.totals, self.counts, strict=True)
        return Losses({name: of_sums(totals, counts) for name, totals, counts in each})

    def __sub__(self, reference: "Scores") -> "Scores":
        """How far they lie above those of `reference`, example by example: what examples share is no error."""
        totals = zip(self.totals, reference.totals, strict=True)
        return Scores(self.names, tuple(ours - theirs for ours, theirs in totals), self.counts)


def stacked(scores: Sequence[Scores]) -> Scores:
    """Several conditions as one, with a new first axis."""
    totals = zip(*(each.totals for each in scores), strict=True)
    return Scores(scores[0].names, tuple(map(torch.stack, totals)), scores[0].counts)


def score(
    model: Model,
    batch: Examples,
    objective: Objective,
    replacements: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
) -> Scores:
    """The metrics of a model, with the activations at some sites replaced (`sites.replace`).

    The forward passes take `forward.PART` examples each, which a replacement has to work for; no more outputs than
    theirs are in memory at a time.
    """
    with torch.no_grad(), sites.replace(model, replacements or {}):
        each = [
            score_of(model(tokens).cpu(), batch[where], objective)
            for where, tokens in parts(model, objective.inputs(batch))
        ]
    return joined(each)


def score_of(outputs: Tensor, batch: Examples, objective: Objective) -> Scores:
    """The metrics of what a model makes of a batch, both on the CPU."""
    chosen = objective.chosen(batch)
    values = zip(objective.values(outputs, batch), chosen, strict=True)
    return Scores(
        objective.names,
        tuple((each * mask).double().sum(-1) for each, mask in values),
        tuple(mask.double().sum(-1) for mask in chosen),
    )


def joined(scores: Sequence[Scores]) -> Scores:
    """The scores of several parts of a batch as those of the whole."""
    totals, counts = (zip(*(getattr(part, name) for part in scores), strict=True) for name in ("totals", "counts"))
    return Scores(
        scores[0].names, tuple(torch.cat(each, -1) for each in totals), tuple(torch.cat(each) for each in counts)
    )
