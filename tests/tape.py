"""A stand-in for CUDA graphs that a CPU can run: a capture writes down every operation with the memory and the Python
numbers it had, and a replay does them again on that memory.

Like CUDA it refuses what reads a tensor's value on the host or has a shape that depends on one. Before a replay it
spoils all that earlier work has left in the graphs' shared memory, as other graphs may have.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from abruptlab.training.cuda_graph import CudaGraphs, Work


class Tape(TorchDispatchMode):
    """The operations of one capture, in order, and the memory that they took."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[Tensor] = []
        self._calls: list[tuple[Any, tuple, dict, list[Tensor]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        assert not {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape} & set(func.tags), func
        result = func(*args, **kwargs)
        given = {place(tensor) for tensor in tensors((args, kwargs))}
        new = [tensor for tensor in tensors(result) if place(tensor) not in given]  # no view, and not in place
        self.made += new
        self._calls.append((func, args, kwargs, new))
        return result

    @torch.no_grad()
    def replay(self) -> None:
        for func, args, kwargs, new in self._calls:
            result = func(*args, **kwargs)
            if new:
                for old, again in zip(new, tensors(result), strict=True):
                    old.copy_(again)


class TapedGraphs(CudaGraphs):
    """All that were made are in `every`."""

    every: list["TapedGraphs"] = []  # noqa: RUF012

    def __init__(self, device: torch.device) -> None:
        self.eager = self.captures = self.replays = 0
        self.made: list[Tensor] = []
        self.every.append(self)

    def eagerly(self, work: Work) -> Tensor:
        self.eager += 1
        return work()

    def capture(self, work: Work) -> Work:
        self.captures += 1
        with Tape() as tape:
            result = work()  # a CUDA graph does nothing at its capture: this is the first replay, done beforehand
        done = True

        def replay() -> Tensor:
            nonlocal done
            self.replays += 1
            if not done:
                for tensor in self.made:
                    if tensor.is_floating_point():
                        tensor.fill_(torch.nan)
                tape.replay()
            done = False
            return result

        self.made += [tensor.detach() for tensor in tape.made]
        return replay


def tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
