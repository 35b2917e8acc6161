"""Our training step, with all that a step costs: drawing the data, the update, the metrics and their way to disk."""

from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn

from abruptlab.config import RunConfig
from abruptlab.model.encoder import Encoder
from abruptlab.system.memory import keep_freed_memory
from abruptlab.task.matrices import BLOCK, stream
from abruptlab.training.cuda_graph import WARM_UP
from abruptlab.training.recorder import Recorder
from abruptlab.training.state import TrainingState, initial_state
from abruptlab.training.update import Update, update_of
from benchmarks.clock import seconds


class Ours:
    """The steps of `abruptlab.training.loop.train`, without progress and checkpoints; `folder` takes the metrics."""

    def __init__(self, config: RunConfig, device: torch.device, folder: Path) -> None:
        self.config = config
        self.device = device
        self.warm_up = WARM_UP + 1 if config.training.compile == "graph" else 1  # with the capture
        self.step = update_of(initial_state(config, device), config, device)
        keep_freed_memory()
        self.recorder = Recorder(config, folder, resume=True, made_with={})
        self._next = 0  # the first step of the next block

    def __call__(self, steps: int) -> float:
        """Seconds a step, over the first `steps` steps of a fresh block of data.

        A block is drawn whole, for its `BLOCK` steps, so each step bears that share of the drawing. The metrics are
        flushed once, at the end.
        """
        batches = []
        fresh = stream(self.config.matrices, self.config.training.batch, self.config.seed, self._next, self.device)
        drawing = seconds(lambda: batches.extend(islice(fresh, steps)), self.device)

        def work() -> None:
            for step, batch in enumerate(batches, self._next):
                self.recorder.keep(step, self.step(batch), self.config.training.learning_rate)
            self.recorder.flush()

        with self.recorder:
            working = seconds(work, self.device)
        self._next += BLOCK
        return drawing / BLOCK + working / steps


class Overhead(Ours):
    """The same without the model and the optimiser: what is left is data, loss, metrics and logging."""

    def __init__(self, config: RunConfig, device: torch.device, folder: Path) -> None:
        super().__init__(config, device, folder)
        model = _Instant(config.training.batch, config.matrices.positions).to(device)
        self.step = Update(TrainingState(model, []), config, device)


class _Instant(Encoder):
    """Knows its answer beforehand."""

    def __init__(self, batch: int, positions: int) -> None:
        nn.Module.__init__(self)  # none of the encoder's parts
        self.answer = nn.Parameter(torch.zeros(batch, positions))

    def forward(self, tokens: Tensor) -> Tensor:
        return self.answer[: len(tokens)]
