"""The loop: one function, one loop, for every device and precision."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from abruptlab.config import RunConfig, TrainingConfig
from abruptlab.errors import ConfigError
from abruptlab.model.build import Model, new_model
from abruptlab.model.groups import transplant
from abruptlab.run.pretrained import find_run
from abruptlab.run.run import Run
from abruptlab.system.devices import choose_device
from abruptlab.system.memory import keep_freed_memory, require_memory
from abruptlab.system.provenance import device_name, versions
from abruptlab.system.signals import finish_on_interrupt
from abruptlab.task.counter import generator
from abruptlab.task.examples import Examples
from abruptlab.training.cuda_graph import CudaGraphs, GraphedStep, Step, require_capturable
from abruptlab.training.needs import training_needs
from abruptlab.training.norms import Norms
from abruptlab.training.notebook import silent_or_notebook
from abruptlab.training.optimizers import build_optimizers, set_learning_rate
from abruptlab.training.ranks import Ranks
from abruptlab.training.recorder import Follower, Recorder
from abruptlab.training.schedules import is_checkpoint, is_measured, learning_rate
from abruptlab.training.trackers import TrackerName, Trackers, require_trackers

CPU_PART_BYTES = 64 * 2**20  # at the paper's size half the memory of the whole batch, at the same speed or better
REPORT_EVERY_S = 1.0  # the host reads the device's metrics about this often, not at every step


@dataclass(frozen=True)
class Progress:
    """Where a run stands; the losses are the mean over the steps since the last report."""

    step: int
    steps: int
    losses: dict[str, float]  # by the metric's symbol
    ms_per_step: float
    seconds_left: float


def part_size(config: RunConfig, device: torch.device) -> int:
    """Matrices in memory at once: `micro_batch`; by default the batch, or on a CPU its largest divisor whose MLP
    activations stay within CPU_PART_BYTES."""
    training = config.training
    if training.micro_batch is not None:
        return training.micro_batch
    if device.type != "cpu":
        return training.batch
    most = max(1, CPU_PART_BYTES // (4 * config.places * config.model.mlp_width))
    return next(part for part in range(min(most, training.batch), 0, -1) if training.batch % part == 0)


def train_step(
    model: Model, optimizers: list[torch.optim.Optimizer], config: RunConfig, batch: Examples
) -> Float[Tensor, " metric"]:
    """One update on `batch`, in parts of `part_size` matrices whose gradients add up to the batch's. Of several
    processes, each goes through its share of the batch.

    Returns the objective's metrics (`Objective.metrics`) *before* the update, on the device: nothing here waits for
    it. A batch that hides no entry (or observes none) has NaN for the metrics of those.
    """
    objective = config.objective
    part = part_size(config, batch.tokens.device)
    autocast = torch.autocast(
        batch.tokens.device.type,
        torch.bfloat16,
        enabled=config.training.precision == "bf16",
        cache_enabled=False,  # a pass needs each weight once, and a captured step must not find one of another step's
    )
    counts = objective.counts(batch)
    sums = torch.zeros_like(counts)
    ranks = Ranks()
    share = ranks.part(batch)
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)
    for first in range(0, len(share), part):
        with autocast:
            part_sums = objective.sums(model, share[first : first + part])
        (part_sums[0] / counts[0]).backward()
        sums += part_sums.detach()
    ranks.add([sums, *(parameter.grad for parameter in model.parameters() if parameter.grad is not None)])
    if config.training.clip_norm is not None:
        clip_grad_norm_(model.parameters(), config.training.clip_norm)
    for optimizer in optimizers:
        optimizer.step()
    return sums / counts


def initial_model(config: RunConfig, device: torch.device | str = "cpu") -> Model:
    """The run's model at step 0. The weights are drawn on the CPU: every device starts from the same ones.

    Raises `RunError`, `CheckpointError` or `ConfigError` for a `start` whose run, checkpoint or sizes are not there.
    """
    model = new_model(config)
    model.initialise(generator(config.seed, 2))
    start = config.start
    if start.run:
        step = int(start.step) if start.step.isdecimal() else start.step
        transplant(model, find_run(start.run).load(step), start.trained)
    return model.to(device)


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


def step_of(model: Model, optimizers: list[torch.optim.Optimizer], config: RunConfig, device: torch.device) -> Step:
    """`train_step` on `model`, compiled and captured as the configuration says. From here on, `set_learning_rate` alone
    may change the optimisers' rate."""
    if compiles(config.training, device):
        compile_layers(model)
    step = partial(train_step, model, optimizers, config)
    return GraphedStep(step, optimizers, CudaGraphs(device)) if config.training.compile == "graph" else step


def train(
    config: RunConfig,
    folder: Path | str,
    *,
    resume: bool = False,
    device: str | None = None,
    report: Callable[[Progress], None] | None = None,
    warn: Callable[[str], None] = lambda message: None,
    track: Sequence[TrackerName] = (),
) -> Run:
    """Train `config` in `folder` and return the finished `Run`.

    With `resume`, goes on from the newest intact checkpoint (or starts, if nothing has been made yet), also beyond the
    end of a run with fewer steps and a constant rate, and the losses
    are those of the uninterrupted run: bit for bit on the same CPU. What had been made after that checkpoint is kept in
    the folder `set-aside` until the run has passed it again; a finished run is left as it is. `report` is called about
    once a second (default: in a notebook, a bar and the curve; elsewhere, nothing), `warn` with a line for each damaged
    checkpoint that is passed over. In a process group (`ranks.torchrun`), all processes train the same run, each on its
    part of every batch; the first one writes and reports. What is measured goes to the trackers of `track`, too
    (`training.trackers`); one that fails is given up with a warning.

    On Ctrl-C (SIGINT), SIGTERM or SIGUSR1 (Slurm's warning) the step is finished and a checkpoint saved before
    `KeyboardInterrupt` is raised.

    Raises `RunError` if the folder holds another run, or this one without `resume`, or one that cannot be gone on with,
    or cannot be written, and what `initial_model` raises; `ConfigError` for a run that the memory cannot hold, for one
    to be compiled where nothing can be, and for a graph where the step cannot be one (`graphs.require_capturable`);
    `DivergedError` at a NaN or infinite loss, or once L_obs has risen for good (`run.divergence`); `VocabularyError` at
    a value without a token; `AbruptlabError` for a tracker that is not installed.
    """
    where = choose_device(device)
    ranks = Ranks()
    ranks.require_equal_parts(config.training.batch)
    require_trackers(track)
    require_capturable(config.training, where, ranks.count)
    made_with = versions() | {"device": device_name(where), "processes": str(ranks.count)}
    recorder = Recorder(config, Path(folder), resume=resume, made_with=made_with) if ranks.leads else Follower()
    if ranks.any(recorder.finished):
        warn(f"{folder} is finished: all {config.training.steps} steps were made before")
        return Run(folder)
    require_memory(training_needs(config), "such a run", where)
    if compiles(config.training, where):
        require_compiler(where)
    steps = config.training.steps
    keep_freed_memory()
    model = initial_model(config, where)
    with recorder, finish_on_interrupt() as interrupted:
        optimizers = build_optimizers(config.training, model)
        start = ranks.share(recorder.restore(model, optimizers, warn), model, optimizers)
        step_on = step_of(model, optimizers, config, where)
        norms = Norms(model)
        with Trackers(track if ranks.leads else (), config, Path(folder), recorder, warn) as trackers:
            reporter = _Reporter(recorder, config, report or silent_or_notebook(), trackers)
            for step, batch in enumerate(config.task.stream(config.training.batch, config.seed, start, where), start):
                stop = step == steps or ranks.any(interrupted.is_set())
                if stop or is_checkpoint(config.training, step):
                    recorder.save(step, model, optimizers)
                if stop:
                    reporter.report()
                    break
                rate = learning_rate(config.training, step)
                set_learning_rate(optimizers, rate)
                measured = is_measured(config.training, step)
                before = norms.weights() if measured else {}
                metrics = step_on(batch)
                recorder.keep(step, metrics, rate, before | norms.gradients() if measured else None)
                reporter.after_step()
        if ranks.any(interrupted.is_set()):
            raise KeyboardInterrupt
    return Run(folder)


class _Reporter:
    """Brings the metrics to disk and reports progress about once a second."""

    def __init__(
        self,
        recorder: Recorder | Follower,
        config: RunConfig,
        report: Callable[[Progress], None],
        trackers: Trackers,
    ) -> None:
        self._recorder = recorder
        self._trackers = trackers
        self._curves = config.objective.curves
        self._steps = config.training.steps
        self._report = report
        self._reported = len(recorder.rows)
        self._first = len(recorder.rows)
        self._start = self._last = time.perf_counter()

    def after_step(self) -> None:
        """Called once a step; cheap unless a report is due."""
        now = time.perf_counter()
        if self._recorder.waiting == 1 and self._reported == self._first:
            self._start = now  # the first step, with compilation and warm-up, says nothing about the others
        if now - self._last >= REPORT_EVERY_S:
            self.report()

    def report(self) -> None:
        """Flush, and report the mean of the rows since the last report."""
        self._recorder.flush()
        self._trackers.hand_on()
        rows = self._recorder.rows[self._reported :]
        if not rows:
            return
        now = time.perf_counter()
        done = len(self._recorder.rows)
        seconds_per_step = (now - self._start) / max(1, done - self._first - 1)
        losses = {metric.symbol: float(np.mean([row[metric.name] for row in rows])) for metric in self._curves}
        self._report(
            Progress(
                step=done,
                steps=self._steps,
                losses=losses,
                ms_per_step=1000 * (now - self._last) / len(rows),
                seconds_left=seconds_per_step * (self._steps - done),
            )
        )
        self._reported, self._last = done, now
