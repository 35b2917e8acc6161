"""One run in several processes, as torchrun starts them: each computes its part of every batch.

All of them hold the same weights and draw the same whole batch by counter. Gradients and metrics are sums over
matrices, so those of the parts add up to the batch's. Only the first process writes.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import Store
from torch.distributed.rendezvous import rendezvous

from abruptlab.arguments import require
from abruptlab.errors import ConfigError, RunError
from abruptlab.task.examples import Examples
from abruptlab.training.optimizers import optimizer_tensors, restore_optimizers
from abruptlab.training.state import TrainingState


class Ranks:
    """The processes of a run, as one of them sees them; without a process group, this one alone."""

    def __init__(self) -> None:
        joined = dist.is_available() and dist.is_initialized()
        self.rank, self.count = (dist.get_rank(), dist.get_world_size()) if joined else (0, 1)

    @property
    def leads(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    @property
    def program(self) -> list[str]:
        """What starts as many processes, on this machine."""
        if self.count == 1:
            return ["abruptlab"]
        return ["torchrun", f"--nproc-per-node={os.environ['LOCAL_WORLD_SIZE']}", "-m", "abruptlab"]

    def require_equal_parts(self, batch: int) -> None:
        """Raises `ConfigError` if so many matrices cannot be shared out equally."""
        require(batch % self.count == 0, "batch", f"a multiple of the number of processes ({self.count})", batch)

    def part(self, batch: Examples) -> Examples:
        """The examples of a whole batch that this process computes."""
        size = len(batch) // self.count
        return batch[self.rank * size : (self.rank + 1) * size]

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over the processes, all in one exchange."""
        if self.count == 1:
            return
        sums = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(sums)
        for tensor, total in zip(tensors, sums.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(total.view_as(tensor))

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any of the processes. It passes between the hosts, and waits for no GPU."""
        if self.count == 1:
            return flag
        flags = torch.tensor(int(flag))
        dist.all_reduce(flags, dist.ReduceOp.MAX)
        return bool(flags)

    def share(self, state: TrainingState) -> None:
        """Give every process the first one's step, weights and optimisers."""
        if self.count == 1:
            return
        box: list[Any] = [(state.step, state.model.state_dict(), optimizer_tensors(state.optimizers))]
        dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        if not self.leads:
            state.step, weights, tensors = box[0]
            state.model.load_state_dict(weights)
            restore_optimizers(state.optimizers, tensors)


@contextmanager
def torchrun(device: str | None) -> Iterator[str | None]:
    """Inside the block, the processes that torchrun started are one process group; yields the device of this one.

    If one of them fails, all end, and only the one that failed first has an error to show. Without torchrun nothing
    happens. Raises `ConfigError` for a device that cannot be shared out, `RunError` if there are not enough GPUs.
    """
    if not (dist.is_available() and dist.is_torchelastic_launched()):
        yield device
        return
    store, rank, count = next(iter(rendezvous("env://")))
    try:
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        _take(device)
        backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=count)
        yield device
    except Exception:
        if not _fails_first(store):
            sys.exit(1)
        raise
    if dist.is_initialized():
        dist.destroy_process_group()


def require_no_torchrun(instead: str) -> None:
    """Raises `ConfigError` where torchrun has started this process among others, which would all do the same work."""
    if dist.is_available() and dist.is_torchelastic_launched():
        raise ConfigError(f"expected no torchrun, with which only train goes together: {instead}")


def _take(device: str) -> None:
    expected = "cpu or cuda with torchrun, which shares out the GPUs"
    require(device in ("cpu", "cuda"), "--device", expected, repr(device))
    if device == "cuda":
        local, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local >= there:
            raise RunError(f"expected at most {there} processes on this machine, one for each GPU")
        torch.cuda.set_device(local)


def _fails_first(store: Store) -> bool:
    try:
        return store.add("failed", 1) == 1
    except RuntimeError:  # the store is gone with the process that failed first
        return False
