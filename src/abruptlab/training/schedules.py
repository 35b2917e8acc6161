"""What depends on the step alone: the learning rate, what is measured, and which checkpoints are kept."""

import math
from dataclasses import dataclass

from abruptlab.config import TrainingConfig
from abruptlab.run.drop import Drop

ROLLING = 32  # checkpoints of the rolling window, kept until the detector has spoken: it may need half the onset


@dataclass(frozen=True)
class Schedule:
    """What is to be done at each step of a training."""

    config: TrainingConfig

    def learning_rate(self, step: int) -> float:
        """The rate of the update made at `step` (counted from 0): linear warm-up, then constant or cosine to zero."""
        config, highest = self.config, float(self.config.learning_rate)  # which may be a number of NumPy
        if step < config.warmup_steps:
            return highest * (step + 1) / config.warmup_steps
        if config.schedule == "constant":
            return highest
        progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
        return highest * (1 + math.cos(math.pi * progress)) / 2

    def emphasis(self, step: int) -> float:
        """What the useful attention is multiplied by at `step`."""
        return self.config.useful_attention if step >= self.config.useful_from else 1.0

    def changed_at(self, step: int) -> int:
        """The step before `step` from which on the useful attention is multiplied; 0 if it is not, or always was."""
        changes = self.config.useful_attention != 1 and self.config.useful_from < step
        return self.config.useful_from if changes else 0

    def takes_measures(self, step: int) -> bool:
        """Whether measures are taken after `step` updates."""
        every = self.config.measure_every
        return every > 0 and (step % every == 0 or step == self.config.steps)

    def takes_norms(self, step: int) -> bool:
        """Whether the norms of weights and gradients are measured at `step`."""
        return self.config.norms_every is not None and step % self.config.norms_every == 0

    def is_landmark(self, step: int) -> bool:
        """Whether the checkpoint at `step` is always kept: step 0, powers of 2, every `checkpoint_every`, the last."""
        return step & (step - 1) == 0 or step % self.config.checkpoint_every == 0 or step == self.config.steps

    def is_checkpoint(self, step: int) -> bool:
        """Whether a checkpoint is written at `step`."""
        return self.is_landmark(step) or step % self.config.rolling_every == 0

    def outdated(self, steps: list[int], drop: Drop | None) -> list[int]:
        """Which of the checkpoints `steps` (ascending) may go: all but the landmarks, the rolling window, and those
        around the drop, which are the ones from a window before its onset to its end."""
        every = self.config.rolling_every
        rolling = [step for step in steps if not self.is_landmark(step)]
        if drop is not None:
            first = drop.onset - ROLLING * every
            last = math.inf if drop.end is None else drop.end + every
            rolling = [step for step in rolling if not first <= step <= last]
        newest = set(steps[-ROLLING:])
        return [step for step in rolling if step not in newest]
