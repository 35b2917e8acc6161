"""What changes a trained model and prints its metrics with and without: `ablate`, `patch`, `switch`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import OmitArgPrefixes, arg

from abruptlab.arguments import different, require
from abruptlab.cli.looking import Look, LookAtStep, open_run
from abruptlab.cli.printing import print_losses
from abruptlab.errors import ConfigError

if TYPE_CHECKING:
    from abruptlab.run.run import Run


@dataclass
class Ablate:
    """Replace the attention of some heads by a constant; print the metrics with and without."""

    look: OmitArgPrefixes[LookAtStep]
    heads: tuple[str, ...] = ()
    """LAYER.HEAD, both counted from 1 as in the figures, such as 2.1 2.4 (default: all heads)."""
    replacement: Annotated[Literal["uniform", "mean", "zero"], arg(name="with")] = "uniform"
    """The same attention to every place, the heads' mean map over the examples, or no output at all."""

    def __call__(self) -> None:
        from abruptlab.experiments.ablation import measure_ablation

        run = open_run(self.look.run)
        heads = [_head(word, run) for word in different("--heads", self.heads)] or None
        result = measure_ablation(run, heads, self.replacement, **self.look.options)
        which = "all heads" if heads is None else f"heads {' '.join(self.heads)}"
        rows = {"intact": result.intact, "ablated": result.ablated, "difference": result.difference}
        print_losses(f"step {result.step}, {which} with {result.replacement}", rows, run.objective)


@dataclass
class Patch:
    """Put activations of the run on X into the run on −X (of sequences: on others); print the losses against both."""

    look: OmitArgPrefixes[LookAtStep]
    layer: int | None = None
    """Patch the heads' outputs of this layer, counted from 1 as in the figures."""
    site: str | None = None
    """Patch this site instead, by its name in Python; a wrong one lists them all."""
    heads: tuple[int, ...] = ()
    """These heads only, counted from 1 (default: all)."""
    positions: tuple[int, ...] = ()
    """These places only, counted from 1 (of a matrix row by row; default: all)."""

    def __call__(self) -> None:
        from abruptlab.experiments.patching import Patch, measure_patching
        from abruptlab.experiments.result import unstack

        if (self.layer is None) == (self.site is None):
            raise ConfigError("patch: expected either --layer NUMBER or --site NAME")
        run = open_run(self.look.run)
        model, objective = run.config.model, run.objective
        site = self.site or f"blocks.{_index('--layer', self.layer or 0, model.layers)}.attn.z"
        heads = [_index("--heads", head, model.heads) for head in different("--heads", self.heads)]
        places = objective.places - model.causal  # which is not given the last token
        positions = [_index("--positions", place, places) for place in different("--positions", self.positions)]
        result = measure_patching(run, [Patch(site, heads or None, positions or None)], **self.look.options)
        clean, corrupted = run.config.task.pair
        conditions = corrupted, f"{corrupted}, patched", clean
        for target, errors in ((clean, result.to_clean), (corrupted, result.to_corrupted)):
            title = f"step {result.step}, {site}: losses against {target}"
            print_losses(title, dict(zip(conditions, unstack(errors), strict=True)), objective)
        effects = [
            f"{objective.metric(name).symbol} {estimate.mean:.3f} ± {estimate.error:.3f}"
            for name, estimate in result.effect.items()
        ]
        print(f"effect at the places of each (0: as on {corrupted}, 1: as on {clean}): {', '.join(effects)}")


@dataclass
class Switch:
    """Put some groups of parameters of one checkpoint into another; print the losses of the three models."""

    look: OmitArgPrefixes[Look]
    groups: tuple[str, ...]
    """Such as attention-qkv mlp; a wrong one lists them all."""
    source: str = "before-drop"
    """The checkpoint that they are taken from: a step or a milestone."""
    into: str = "final"
    """The checkpoint that they are put into."""

    def __call__(self) -> None:
        from abruptlab.experiments.result import unstack
        from abruptlab.experiments.switching import measure_switch

        require(bool(self.groups), "--groups", "at least one", "none")
        steps = self.source, self.into
        run = open_run(self.look.run)
        result = measure_switch(run, different("--groups", self.groups), *steps, **self.look.options)
        into, source = unstack(result.intact)
        rows = {f"step {result.into}": into, f"step {result.source}": source, "switched": result.switched}
        print_losses(
            f"{', '.join(result.groups)} of step {result.source} put into step {result.into}", rows, run.objective
        )


def _head(word: str, run: "Run") -> tuple[int, int]:
    """A head as typed, as Python counts it."""
    layer, _, head = word.partition(".")
    fits = word.isascii() and layer.isdecimal() and head.isdecimal()
    require(fits, "--heads", "LAYER.HEAD, such as 2.1", repr(word))
    model = run.config.model
    if not (1 <= int(layer) <= model.layers and 1 <= int(head) <= model.heads):
        there = f"layers 1 to {model.layers} with heads 1 to {model.heads} each"
        raise ConfigError(f"--heads: no head {word} (layer.head); this model has {there}")
    return int(layer) - 1, int(head) - 1


def _index(flag: str, number: int, count: int) -> int:
    """What a person counts from 1, as Python counts it."""
    require(1 <= number <= count, flag, f"1 to {count}", number)
    return number - 1
