"""Record and replace named activations of any module that declares sites.

A site is a place in a model's forward pass with a name: the path of a `Site` submodule, such as
`blocks.0.attn.pattern`. `record` keeps what flows through it, `replace` puts something else there. Both use
PyTorch's own forward hooks, so a model outside this project takes part by holding a `Site` wherever it wants to be
looked at.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from torch import Tensor, nn

from abruptlab.errors import SiteError


class Site(nn.Identity):
    """A named place in the forward pass: passes its input on, unless it is recorded or replaced."""

    @property
    def touched(self) -> bool:
        """Whether somebody records or replaces this site, so that its value has to be computed explicitly."""
        return bool(self._forward_hooks)


def site_names(model: nn.Module) -> list[str]:
    """The names of all sites of `model`, in the order of their declaration."""
    return [name for name, module in model.named_modules() if isinstance(module, Site)]


def _site(model: nn.Module, name: str) -> Site:
    names = site_names(model)
    if name not in names:
        raise SiteError(f"no site {name!r}; this model has: {', '.join(names) or 'none'}")
    site = model.get_submodule(name)
    assert isinstance(site, Site)
    return site


@contextmanager
def record(model: nn.Module, names: Iterable[str]) -> Iterator[dict[str, Tensor]]:
    """Record the activations at `names` during the forward passes inside the `with` block.

    Yields a dictionary from name to activation, filled by the forward pass; a second pass overwrites the first. The
    activations stay in the autograd graph (use `torch.no_grad` or `.detach()` if that is not wanted). Where a site is
    both replaced and recorded, the context entered last sees the other's output.

    Raises `SiteError`, listing the valid names, for a name that the model does not have.
    """
    activations: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            activations[name] = output

        return hook

    with ExitStack() as stack:
        for name in list(names):
            stack.callback(_site(model, name).register_forward_hook(keep(name)).remove)
        yield activations


@contextmanager
def replace(model: nn.Module, functions: Mapping[str, Callable[[Tensor], Tensor]]) -> Iterator[None]:
    """Replace the activation at each named site by `function(activation)` inside the `with` block.

    The replacement must have the shape of what it replaces.

    Raises `SiteError`, listing the valid names, for a name that the model does not have, and on a replacement of
    another shape.
    """

    def swap(name: str, function: Callable[[Tensor], Tensor]) -> Callable[[nn.Module, object, Tensor], Tensor]:
        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
            new = function(output)
            if new.shape != output.shape:
                raise SiteError(f"site {name}: expected a replacement of shape {[*output.shape]}, got {[*new.shape]}")
            return new

        return hook

    with ExitStack() as stack:
        for name, function in functions.items():
            stack.callback(_site(model, name).register_forward_hook(swap(name, function)).remove)
        yield
