"""Running a checkpoint's model on examples, part by part: what it predicts, and what is inside."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from abruptlab.arguments import checked
from abruptlab.model import sites
from abruptlab.model.build import Model
from abruptlab.model.encoder import Encoder
from abruptlab.run.run import Run
from abruptlab.system.devices import choose_device

PART = 256  # examples in one forward pass


@checked
def load(run: Run, step: int | str) -> Encoder:
    """`Run.load_encoder`, on the fastest device."""
    return run.load_encoder(step).to(choose_device())


@checked
def loaded(run: Run, step: int | str) -> tuple[int, Encoder]:
    """The step of a checkpoint, which may be given as a milestone, and `load` of it."""
    resolved = run.resolve(step)
    return resolved, load(run, resolved)


@checked
def loaded_model(run: Run, step: int | str) -> tuple[int, Model]:
    """The same with a model of either kind."""
    resolved = run.resolve(step)
    return resolved, run.load(resolved).to(choose_device())


@checked
@torch.no_grad()
def predict(
    model: Model,
    tokens: Int[Tensor, "example pos"],
    replacements: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
) -> Float[Tensor, "example pos *token"]:
    """What the model makes of every token, an encoder the value, a decoder the logits of the next one, on the CPU, with
    the activations at some sites replaced (`sites.replace`).

    The forward passes take `PART` examples each, which a replacement has to work for.
    """
    with sites.replace(model, replacements or {}):
        return torch.cat([model(part).cpu() for _, part in parts(model, tokens)])


def recorded(
    model: Model, tokens: Int[Tensor, "example pos"], names: Sequence[str]
) -> Iterator[tuple[slice, dict[str, Tensor]]]:
    """The activations at the named sites, for `PART` examples at a time: which examples, and name → activation on the
    model's device."""
    for where, part in parts(model, tokens):
        with torch.no_grad(), sites.record(model, names) as activations:
            model(part)
        yield where, activations


def parts(model: Model, tokens: Int[Tensor, "example pos"]) -> Iterator[tuple[slice, Int[Tensor, "part pos"]]]:
    """The tokens in parts of `PART` examples, on the model's device, each with its place among all; no tokens
    are one empty part."""
    device = model.token_embedding.weight.device
    for start in range(0, max(1, len(tokens)), PART):
        where = slice(start, start + PART)
        yield where, tokens[where].to(device)
