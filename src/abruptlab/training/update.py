"""One step: from a batch to the update that it makes, eagerly, compiled, or as a CUDA graph."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from abruptlab.config import RunConfig, TrainingConfig
from abruptlab.errors import ConfigError
from abruptlab.model.build import Model
from abruptlab.model.emphasis import emphasised
from abruptlab.task.examples import Examples
from abruptlab.training.cuda_graph import CudaGraphs, GraphedStep, Step
from abruptlab.training.ranks import Ranks
from abruptlab.training.schedules import Schedule
from abruptlab.training.state import TrainingState

CPU_PART_BYTES = 64 * 2**20  # at the paper's size half the memory of the whole batch, at the same speed or better


def part_size(config: RunConfig, device: torch.device) -> int:
    """Examples in memory at once: `micro_batch`; by default the batch, or on a CPU its largest divisor whose MLP
    activations stay within CPU_PART_BYTES."""
    training = config.training
    if training.micro_batch is not None:
        return training.micro_batch
    if device.type != "cpu":
        return training.batch
    most = max(1, CPU_PART_BYTES // (4 * config.places * config.model.mlp_width))
    return next(part for part in range(min(most, training.batch), 0, -1) if training.batch % part == 0)


class Update:
    """One update of a state on a batch, in parts of `part_size` examples whose gradients add up to the batch's. Of
    several processes, each goes through its share of the batch.

    What the configuration says is turned into parts once, here, and not at every step.
    """

    def __init__(self, state: TrainingState, config: RunConfig, device: torch.device) -> None:
        self._state = state
        self._schedule = Schedule(config.training)
        self._spared = config.training.useful_spared
        self._clip_norm = config.training.clip_norm
        self._objective = config.objective
        self._part = part_size(config, device)
        self._ranks = Ranks()
        self._precision = torch.autocast(
            device.type,
            torch.bfloat16,
            enabled=config.training.precision == "bf16",
            cache_enabled=False,  # a pass needs each weight once; a captured step must not find another step's
        )

    def __call__(self, batch: Examples) -> Float[Tensor, " metric"]:
        """Returns the objective's metrics *before* the update, on the device: nothing here waits for it. A batch that
        hides no entry (or observes none) has NaN for the metrics of those."""
        model, optimizers, objective = self._state.model, self._state.optimizers, self._objective
        counts = objective.counts(batch)
        sums = torch.zeros_like(counts)
        share = self._ranks.part(batch)
        factor = self._schedule.emphasis(self._state.step)
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        for first in range(0, len(share), self._part):
            examples = share[first : first + self._part]
            with self._precision, emphasised(model, objective, examples, factor, self._spared):
                part_sums = objective.sums(model, examples)
            (part_sums[0] / counts[0]).backward()
            sums += part_sums.detach()
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        self._ranks.add([sums, *gradients])
        if self._clip_norm is not None:
            clip_grad_norm_(model.parameters(), self._clip_norm)
        for optimizer in optimizers:
            optimizer.step()
        return sums / counts


def compiles(config: TrainingConfig, device: torch.device) -> bool:
    """Whether the layers are compiled on that device."""
    return config.compile in ("yes", "graph") or (config.compile == "auto" and device.type == "cuda")


def require_compiler(device: torch.device) -> None:
    """Raises `ConfigError` if PyTorch cannot compile for that device, as without a C++ compiler."""
    try:
        torch.compile(lambda x: x + 1)(torch.zeros(2, device=device))
    except Exception as error:  # of many kinds, by what is missing
        why = str(error).strip().splitlines() or [type(error).__name__]
        raise ConfigError(f"compile: PyTorch cannot compile for {device} here: {why[0]}; choose no") from None


def compile_layers(model: Model) -> None:
    """Compile the transformer layers, in place: one compilation serves all. The embeddings stay outside, since their
    compiled gradient adds in an order that varies between runs."""
    for block in model.blocks:
        block.compile(dynamic=False)


def update_of(state: TrainingState, config: RunConfig, device: torch.device) -> Step:
    """`Update`, compiled and captured as the configuration says. From here on, `set_learning_rate` alone may change the
    optimisers' rate."""
    if compiles(config.training, device):
        compile_layers(state.model)
    update = Update(state, config, device)
    return GraphedStep(update, state.optimizers, CudaGraphs(device)) if config.training.compile == "graph" else update
