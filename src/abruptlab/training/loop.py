"""The loop: one function, one loop, for every device and precision."""

import time
import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from abruptlab.arguments import checked
from abruptlab.config import RunConfig
from abruptlab.run.checkpoints import saved_steps
from abruptlab.run.metrics import known_mean
from abruptlab.run.run import Run
from abruptlab.system.devices import choose_device
from abruptlab.system.memory import keep_freed_memory, require_memory
from abruptlab.system.provenance import device_name, versions
from abruptlab.system.signals import finish_on_interrupt
from abruptlab.training.cuda_graph import require_capturable
from abruptlab.training.measures import Measures
from abruptlab.training.needs import training_needs
from abruptlab.training.norms import Norms
from abruptlab.training.notebook import silent_or_notebook
from abruptlab.training.optimizers import set_learning_rate
from abruptlab.training.ranks import Ranks
from abruptlab.training.recorder import Follower, Recorder
from abruptlab.training.schedules import Schedule
from abruptlab.training.state import initial_state
from abruptlab.training.trackers import TrackerName, Trackers, require_trackers
from abruptlab.training.update import compiles, part_size, require_compiler, update_of

REPORT_EVERY_S = 1.0  # the host reads the device's metrics about this often, not at every step


@dataclass(frozen=True)
class Progress:
    """Where a run stands; the losses are the mean over the steps since the last report."""

    step: int
    steps: int
    losses: dict[str, float]  # by the metric's symbol
    ms_per_step: float
    seconds_left: float


@checked
def train(
    config: RunConfig,
    folder: Path | str,
    *,
    resume: bool = False,
    device: str | None = None,
    report: Callable[[Progress], None] | None = None,
    warn: Callable[[str], None] | None = None,
    track: Collection[TrackerName] = (),
) -> Run:
    """Train `config` in `folder` and return the finished `Run`.

    With `resume`, goes on from the newest intact checkpoint (or starts, if nothing has been made yet), also beyond the
    end of a run with fewer steps and a constant rate, and the losses are those of the uninterrupted run: bit for bit on
    the same CPU. What had been made after that checkpoint is kept in the folder `set-aside` until the run has passed it
    again; a finished run is left as it is. `report` is called about once a second (default: in a notebook, a bar and
    the curve; elsewhere, nothing), `warn` with a line for each damaged checkpoint that is passed over (default: a
    Python warning). In a process group (`ranks.torchrun`), all processes train the same run, each on its part of every
    batch; the first one writes and reports. What is measured goes to the trackers of `track`, too
    (`training.trackers`), also of a finished run; one that fails is given up with a warning.

    On Ctrl-C (SIGINT), SIGTERM, SIGHUP (a closed terminal) or SIGUSR1 (Slurm's warning) the step is finished and a
    checkpoint saved before `KeyboardInterrupt` is raised. (While the first step is compiled, there is nothing to
    save.)

    Raises `RunError` if the folder holds another run, or this one without `resume`, or one that cannot be gone on with,
    or cannot be written, and what `initial_model` raises; `ConfigError` for a new run with a field that changes
    nothing, for one that the memory cannot hold, for one to be compiled where nothing can be, and for a graph where the
    step cannot be one (`cuda_graph.require_capturable`);
    `DivergedError` at a NaN or infinite loss, or once L_obs has risen for good (`run.divergence`); `VocabularyError` at
    a value without a token; `AbruptlabError` for a tracker that is not installed.
    """
    where, warn = choose_device(device), warn or warnings.warn
    ranks = Ranks()
    ranks.require_equal_parts(config.training.batch)
    require_trackers(track)
    require_capturable(config.training, where, ranks.count)
    made_with = versions() | {"device": device_name(where), "processes": str(ranks.count)}
    recorder = Recorder(config, Path(folder), resume=resume, made_with=made_with) if ranks.leads else Follower()
    if ranks.any(recorder.finished):
        warn(f"{folder} is finished: all {config.training.steps} steps were made before")
        if track and isinstance(recorder, Recorder):
            recorder.recall()
            with recorder, Trackers(track, config, Path(folder), recorder, warn):
                pass  # which hands on what they do not have
        return Run(folder)
    begun = bool(saved_steps(Path(folder) / "checkpoints"))
    if not begun:
        config.require_used()
    part = min(part_size(config, where), config.training.batch // ranks.count)
    require_memory(training_needs(config, part), f"such a run, {part:,} examples at a time (micro_batch),", where)
    if not begun:
        next(config.task.stream(config.training.batch, config.seed, 0, where))  # what has no token is said at once
    compiled = compiles(config.training, where)
    if compiled:
        require_compiler(where)
    keep_freed_memory()
    state = initial_state(config, where, begun=begun)
    with recorder, finish_on_interrupt() as interrupted:
        recorder.restore(state, warn)
        ranks.share(state)
        first = state.step
        update, schedule = update_of(state, config, where), Schedule(config.training)
        measures = Measures(config) if config.training.measure_every else None
        norms = Norms(state.model)
        with Trackers(track if ranks.leads else (), config, Path(folder), recorder, warn) as trackers:
            reporter = _Reporter(recorder, config, report or silent_or_notebook(), trackers)
            batches = config.task.stream(config.training.batch, config.seed, state.step, where)
            while True:
                stop = state.step == config.training.steps or ranks.any(interrupted.is_set())
                if measures and ranks.leads and schedule.takes_measures(state.step):
                    recorder.keep_measures(state.step, measures.of(state.model, schedule.emphasis(state.step)))
                if stop or schedule.is_checkpoint(state.step):
                    recorder.save(state)
                if stop:
                    reporter.report()
                    break
                rate = schedule.learning_rate(state.step)
                set_learning_rate(state.optimizers, rate)
                normed = schedule.takes_norms(state.step)
                before = norms.weights() if normed else {}
                batch = next(batches)  # drawn when it is needed: one beyond the last might be without a token
                try:
                    metrics = update(batch)
                except RuntimeError as error:
                    # Ctrl-C goes to the compiler of the first step, too, which dies of it
                    if not (interrupted.is_set() and compiled and state.step == first and ranks.count == 1):
                        raise
                    raise KeyboardInterrupt from error
                recorder.keep(state.step, metrics, rate, before | norms.gradients() if normed else None)
                state.step += 1
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
        self._begun = False
        self._start = self._last = time.perf_counter()

    def after_step(self) -> None:
        """Called once a step; cheap unless a report is due."""
        now = time.perf_counter()
        if not self._begun:
            self._begun = True
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
        recent = (now - self._last) / len(rows)
        timed = done - self._first - 1  # all but the first step, of which alone there is nothing better to be said
        seconds_per_step = (now - self._start) / timed if timed else recent
        losses = {metric.symbol: known_mean([row[metric.name] for row in rows]) for metric in self._curves}
        self._report(
            Progress(
                step=done,
                steps=self._steps,
                losses=losses,
                ms_per_step=1000 * recent,
                seconds_left=seconds_per_step * (self._steps - done),
            )
        )
        self._reported, self._last = done, now
