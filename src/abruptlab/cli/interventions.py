"""What changes a trained model and prints the losses with and without: `ablate`, `patch`, `switch`."""

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import OmitArgPrefixes, arg

from abruptlab.cli.looking import Look, LookAtStep, checkpoint, open_run
from abruptlab.cli.printing import print_losses
from abruptlab.errors import ConfigError


@dataclass
class Ablate:
    """Replace the attention of some heads by a constant; print L, L_obs and L_mask with and without."""

    look: OmitArgPrefixes[LookAtStep]
    heads: tuple[str, ...] = ()
    """LAYER.HEAD, both counted from 0, such as 1.0 1.3 (default: all heads)."""
    replacement: Annotated[Literal["uniform", "mean", "zero"], arg(name="with")] = "uniform"
    """The same attention to every place, the heads' mean map over the matrices, or no output at all."""

    def __call__(self) -> None:
        from abruptlab.experiments.ablation import measure_ablation

        heads = [_head(word) for word in self.heads] or None
        result = measure_ablation(open_run(self.look.run), heads, self.replacement, **self.look.options)
        which = "all heads" if heads is None else f"heads {' '.join(self.heads)}"
        rows = {"intact": result.intact, "ablated": result.ablated, "difference": result.difference}
        print_losses(f"step {result.step}, {which} with {result.replacement}", rows)


@dataclass
class Patch:
    """Put activations of the run on X into the run on −X, with the same mask; print the errors to X and to −X."""

    look: OmitArgPrefixes[LookAtStep]
    layer: int | None = None
    """Patch the heads' outputs of this layer, counted from 0 (short for --site blocks.LAYER.attn.z)."""
    site: str | None = None
    """Patch this site instead; a wrong one lists them all."""
    heads: tuple[int, ...] = ()
    """These heads only, counted from 0 (default: all)."""
    positions: tuple[int, ...] = ()
    """These places only, counted from 0 row by row (default: all)."""

    def __call__(self) -> None:
        from abruptlab.experiments.evaluation import unstack
        from abruptlab.experiments.patching import Patch, measure_patching

        if (self.layer is None) == (self.site is None):
            raise ConfigError("patch: expected either --layer NUMBER or --site NAME")
        site = self.site or f"blocks.{self.layer}.attn.z"
        patch = Patch(site, self.heads or None, self.positions or None)
        result = measure_patching(open_run(self.look.run), [patch], **self.look.options)
        conditions = "−X", "−X, patched", "X"
        for target, errors in (("X", result.to_clean), ("−X", result.to_corrupted)):
            title = f"step {result.step}, {site}: errors to {target}"
            print_losses(title, dict(zip(conditions, unstack(errors), strict=True)))
        at_hidden, at_observed = result.effect_masked, result.effect_observed
        print(
            f"effect (0: as on −X, 1: as on X): hidden {at_hidden.mean:.3f} ± {at_hidden.error:.3f}, "
            f"observed {at_observed.mean:.3f} ± {at_observed.error:.3f}"
        )


@dataclass
class Switch:
    """Put some groups of parameters of one checkpoint into another; print L, L_obs and L_mask of the three models."""

    look: OmitArgPrefixes[Look]
    groups: tuple[str, ...]
    """Such as attention-qkv mlp; a wrong one lists them all."""
    source: str = "before-drop"
    """The checkpoint that they are taken from: a step or a milestone."""
    into: str = "final"
    """The checkpoint that they are put into."""

    def __call__(self) -> None:
        from abruptlab.experiments.evaluation import unstack
        from abruptlab.experiments.switching import measure_switch

        steps = checkpoint(self.source), checkpoint(self.into)
        result = measure_switch(open_run(self.look.run), self.groups, *steps, **self.look.options)
        into, source = unstack(result.intact)
        rows = {f"step {result.into}": into, f"step {result.source}": source, "switched": result.switched}
        print_losses(f"{', '.join(result.groups)} of step {result.source} put into step {result.into}", rows)


def _head(word: str) -> tuple[int, int]:
    layer, _, head = word.partition(".")
    if not (layer.isdecimal() and head.isdecimal()):
        raise ConfigError(f"--heads: expected LAYER.HEAD, such as 1.0, got {word!r}")
    return int(layer), int(head)
