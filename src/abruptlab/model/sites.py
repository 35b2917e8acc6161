"""Record and replace named activations of any module that declares sites.

A site is a place in a model's forward pass with a name: the path of a `Site` submodule, such as
`blocks.0.attn.pattern`. `record` keeps what flows through it, `replace` puts something else there. Both use
PyTorch's own forward hooks, so a model outside this project takes part by holding a `Site` wherever it wants to be
looked at.
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatchcase
from functools import partial
from inspect import signature
from typing import NamedTuple

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from abruptlab.arguments import checked, meant, shown, shown_with_type
from abruptlab.errors import SiteError

NUMBER = re.compile(r"\b\d+\b")  # of a layer, in a site's name


class Site(nn.Identity):
    """A named place in the forward pass: passes its input on, unless it is recorded or replaced."""

    def __init__(self, shape: str = "", meaning: str = "", elsewhere: str = "") -> None:
        """`shape` names the axes of what flows here, `meaning` says what it is, and `elsewhere` what TransformerLens
        calls it: for `site_table`."""
        super().__init__()
        self.shape = shape
        self.meaning = meaning
        self.elsewhere = elsewhere

    @property
    def touched(self) -> bool:
        """Whether a hook of any kind is on this site, so that its value has to be computed explicitly."""
        return bool(self._forward_hooks or self._forward_pre_hooks or self._backward_hooks or self._backward_pre_hooks)


class SiteRow(NamedTuple):
    """A kind of site: its name, with {i} for the number of a layer; its axes, meaning and name in TransformerLens."""

    name: str
    shape: str
    meaning: str
    elsewhere: str


class Activations(dict[str, Tensor]):
    """What was recorded, by the sites' names."""

    def __missing__(self, name: str) -> Tensor:
        hint = "; globs are for `stack`" if "*" in str(name) else ""
        raise SiteError(f"no recorded site is named {name!r}{hint}; there are: {_listed([*self])}")

    def __repr__(self) -> str:
        """What is in it, without the numbers."""
        width = max(map(len, self), default=0)
        return "\n".join([type(self).__name__, *(f"  {name:{width}}  {shown(self[name])}" for name in self)])

    @property
    def nbytes(self) -> int:
        """The memory of all activations."""
        return sum(activation.nbytes for activation in self.values())

    @checked
    def stack(self, glob: str) -> Shaped[Tensor, "site *shape"]:
        """The activations of the sites that `glob` names (`blocks.*.attn.pattern`), one above the other, in the order
        of the forward pass.

        Raises `SiteError` if it names none that was recorded, or some of different shapes.
        """
        matches = {name: activation for name, activation in self.items() if fnmatchcase(name, glob)}
        if not matches:
            raise SiteError(f"no recorded site is named {glob!r}; there are: {_listed([*self])}")
        shapes = {name: tuple(activation.shape) for name, activation in matches.items()}
        if len(set(shapes.values())) > 1:
            several = ", ".join(f"{name} {[*shape]}" for name, shape in shapes.items())
            raise SiteError(f"{glob!r}: expected sites of one shape, got {several}")
        return torch.stack([*matches.values()])


@checked
def site_names(model: nn.Module) -> list[str]:
    """The names of all sites of `model`, in the order of their declaration."""
    return [name for name, module in model.named_modules() if isinstance(module, Site)]


@checked
def site_table(model: nn.Module) -> list[SiteRow]:
    """All kinds of sites of `model`, with what their declarations say."""
    rows = {}
    for name, module in model.named_modules():
        if isinstance(module, Site):
            kind = NUMBER.sub("{i}", name)
            rows[kind] = SiteRow(kind, module.shape, module.meaning, module.elsewhere)
    return [*rows.values()]


@checked
@contextmanager
def record(model: nn.Module, names: str | Iterable[str]) -> Iterator[Activations]:
    """Record the activations at `names` during the forward passes inside the `with` block.

    A name may be a glob, in which * stands for any text (`blocks.*.attn.pattern`); "all" are all sites. How much memory
    that takes, `record_shapes` tells beforehand. Yields a dictionary from name to activation, filled by the forward
    pass; a second pass overwrites the first. The activations stay in the autograd graph (use `torch.no_grad` or
    `.detach()` if that is not wanted). Where a site is both replaced and recorded, the context entered last sees the
    other's output. Inside the block, compiled models run uncompiled.

    Raises `SiteError`, listing the valid names, for a name that the model does not have, and at the end of the block
    for sites that no forward pass has reached.
    """
    activations = Activations()

    def keep(name: str, _module: nn.Module, _inputs: object, output: Tensor) -> None:
        activations[name] = output

    hooks = {name: partial(keep, name) for name in _matching(model, names)}
    with _hooked(model, hooks):
        yield activations
    _require_reached(hooks.keys() - activations.keys())


@checked
def record_shapes(model: nn.Module, names: str | Iterable[str], *inputs: Tensor) -> Activations:
    """What `record` would keep of `model(*inputs)`, as tensors without numbers: shapes, types, and `nbytes`. Nothing is
    computed and no memory is taken.

    Raises `SiteError` as `record` does.
    """
    weights = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    hollow = {name: weight.to("meta") for name, weight in weights.items()}
    with torch.no_grad(), record(model, names) as shapes:
        torch.func.functional_call(model, hollow, tuple(each.to("meta") for each in inputs))
    return shapes


@checked
@contextmanager
def replace(model: nn.Module, functions: Mapping[str, Callable[[Tensor], Tensor]]) -> Iterator[None]:
    """Replace the activation at each named site by `function(activation)` inside the `with` block.

    Names may be globs, as for `record`. The replacement must have the shape of what it replaces. Inside the block,
    compiled models run uncompiled.

    Raises `SiteError`, listing the valid names, for a name that the model does not have, for what is not a function,
    on a replacement of another shape, and at the end of the block for sites that no forward pass has reached.
    """
    reached = set()

    def swap(
        name: str, function: Callable[[Tensor], Tensor], _module: nn.Module, _inputs: object, output: Tensor
    ) -> Tensor:
        new = function(output.clone())  # which it may change in place: others hold the activation, too
        if not isinstance(new, Tensor) or (new.dtype, new.shape) != (output.dtype, output.shape):
            got = shown(new) if isinstance(new, Tensor) else shown_with_type(new)
            raise SiteError(f"site {name}: expected a replacement that is {shown(output)}, got {got}")
        reached.add(name)
        return new

    hooks = {}
    for names, function in functions.items():
        if not _takes_one(function):
            given = "one of other arguments" if callable(function) else type(function).__name__
            raise SiteError(f"site {names}: expected a function of one argument, the activation, got {given}")
        for name in _matching(model, names):
            if name in hooks:
                raise SiteError(f"site {name}: expected one function, got several (a glob names it too)")
            hooks[name] = partial(swap, name, function)
    with _hooked(model, hooks):
        yield
    _require_reached(hooks.keys() - reached)


def _matching(model: nn.Module, names: str | Iterable[str]) -> list[str]:
    """The model's sites that are meant, each once, in its order."""
    there = site_names(model)
    chosen: set[str] = set()
    for name in [names] if isinstance(names, str) else names:
        matches = there if name == "all" else [site for site in there if fnmatchcase(site, name)]
        if not matches:
            raise SiteError(f"no site {name!r}; this model has: {_listed(there)}{meant(name, there)}")
        chosen.update(matches)
    return [site for site in there if site in chosen]


def _takes_one(function: object) -> bool:
    try:
        signature(function).bind(None)  # pyright: ignore[reportArgumentType]
    except ValueError:  # written in C, perhaps without one
        return True
    except TypeError:
        return False
    return True


def _listed(names: list[str]) -> str:
    """Names in a line, those of all layers as one: blocks.{0-3}.mlp.post."""
    layers: dict[str, set[int]] = {}
    for name in names:
        layers.setdefault(NUMBER.sub("{}", name), set()).update(map(int, NUMBER.findall(name)))
    ranges = {kind: f"{{{_ranges(each)}}}" for kind, each in layers.items() if each}
    return ", ".join(kind.replace("{}", ranges.get(kind, "")) for kind in layers) or "none"


def _ranges(numbers: set[int]) -> str:
    """Numbers in a line: 0-2,5."""
    first = [number for number in sorted(numbers) if number - 1 not in numbers]
    last = [number for number in sorted(numbers) if number + 1 not in numbers]
    return ",".join(f"{start}-{end}" if end > start else f"{start}" for start, end in zip(first, last, strict=True))


@contextmanager
def _hooked(
    model: nn.Module, hooks: Mapping[str, Callable[[nn.Module, object, Tensor], Tensor | None]]
) -> Iterator[None]:
    """With these forward hooks at their sites. What has been compiled before does not know of them, so it runs
    uncompiled."""
    with ExitStack() as stack:
        for name, hook in hooks.items():
            stack.callback(model.get_submodule(name).register_forward_hook(hook).remove)
        if "torch._dynamo" in sys.modules:  # else nothing has been compiled, and asking would import all of it
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield


def _require_reached(missed: set[str]) -> None:
    if missed:
        raise SiteError(f"no forward pass inside the block has reached the site {', '.join(sorted(missed))}")
