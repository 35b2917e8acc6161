"""A whole training step as one CUDA graph: on a GPU, a step of hundreds of kernels without Python in between.

A graph does the same kernels on the same memory every time. So the batch is copied to where the captured step reads it,
the learning rate is a tensor that the optimiser reads on the device, and the metrics are copied away before the next
graph may write there.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from abruptlab.arguments import require
from abruptlab.config import TrainingConfig
from abruptlab.task.examples import Examples

Work = Callable[[], Float[Tensor, " metric"]]
Step = Callable[[Examples], Float[Tensor, " metric"]]

WARM_UP = 3  # steps of a size before its capture: they compile, and make the optimiser's state outside of the graphs


def require_capturable(config: TrainingConfig, device: torch.device, processes: int) -> None:
    """Raises `ConfigError` where the configuration asks for a graph and the step cannot be one."""
    for fits, expected, given in (
        (device.type == "cuda", "a CUDA device", device.type),
        (config.optimizer != "muon", "optimizer adam, adamw or sgd, which read the rate on the device", "muon"),
        (processes == 1, "one process", f"{processes} of them"),
        (config.useful_attention == 1, "useful_attention 1", str(config.useful_attention)),
    ):
        require(fits or config.compile != "graph", "compile graph", expected, given)


class CudaGraphs:
    """How steps are captured on a CUDA device: all that needs one. The graphs share their memory."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        # One stream for warm-up and capture: a node of autograd stays on the stream on which it was made.
        self._stream = torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle()

    def eagerly(self, work: Work) -> Float[Tensor, " metric"]:
        """Do the work as it will be captured, but not captured."""
        here = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(here)
        with torch.cuda.stream(self._stream):
            result = work()
        here.wait_stream(self._stream)
        return result

    def capture(self, work: Work) -> Work:
        """Capture the work without doing it; what comes back does it, and the next time may overwrite its result."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            result = work()

        def replay() -> Float[Tensor, " metric"]:
            graph.replay()
            return result

        return replay


@dataclass
class _OneSize:
    """The steps on matrices of one size."""

    inputs: Examples  # where the captured step reads
    done: int = 0
    captured: Work | None = None
    gradients: list[Tensor | None] = field(default_factory=list)  # where it writes them


class GraphedStep:
    """`step`, captured once for each size of matrices after `WARM_UP` steps of that size, and replayed from then on.

    The graphs may share their memory because a step needs nothing of what another one left there: it sets the gradients
    to None first, so that it writes them all before the optimiser reads them, and the metrics are cloned. Each size
    keeps its gradients, for who asks for their norms.
    """

    def __init__(self, step: Step, optimizers: list[torch.optim.Optimizer], graphs: CudaGraphs) -> None:
        self._step = step
        self._graphs = graphs
        self._groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        self._parameters = [parameter for group in self._groups for parameter in group["params"]]
        self._sizes: dict[tuple[int, ...], _OneSize] = {}
        for group in self._groups:
            group["lr"] = torch.tensor(group["lr"], dtype=torch.float32, device=group["params"][0].device)

    def __call__(self, batch: Examples) -> Float[Tensor, " metric"]:
        """The metrics of a step on `batch`, on the device; nothing waits for it."""
        if batch.size not in self._sizes:
            self._sizes[batch.size] = _OneSize(batch.map(torch.clone))
        here = self._sizes[batch.size]
        for read, new in zip(here.inputs.tensors, batch.tensors, strict=True):
            read.copy_(new)
        here.done += 1
        work = partial(self._step, here.inputs)
        if here.done <= WARM_UP:
            return self._graphs.eagerly(work)
        if here.captured is None:
            here.captured = self._capture(work)
            here.gradients = [parameter.grad for parameter in self._parameters]
        metrics = here.captured().clone()
        for parameter, gradient in zip(self._parameters, here.gradients, strict=True):
            parameter.grad = gradient  # not that of the last step on another size, for who asks after this one
        return metrics

    def _capture(self, work: Work) -> Work:
        # Fused optimisers are capturable as they are; PyTorch wants it said at the capture, and warns of it elsewhere.
        for group in self._groups:
            group["capturable"] = True
        captured = self._graphs.capture(work)
        for group in self._groups:
            group["capturable"] = False
        return captured
