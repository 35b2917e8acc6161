"""What depends on the step alone: the learning rate, what is measured, and which checkpoints are kept."""

import math

from abruptlab.config import TrainingConfig
from abruptlab.run.drop import Drop

ROLLING = 32  # checkpoints of the rolling window, kept until the detector has spoken: it may need half the onset


def learning_rate(config: TrainingConfig, step: int) -> float:
    """The rate of the update made at `step` (counted from 0): linear warm-up, then constant or cosine to zero."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return config.learning_rate
    progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return config.learning_rate * (1 + math.cos(math.pi * progress)) / 2


def emphasis(config: TrainingConfig, step: int) -> float:
    """What the useful attention is multiplied by at `step`."""
    return config.useful_attention if step >= config.useful_from else 1.0


def takes_measures(config: TrainingConfig, step: int) -> bool:
    """Whether measures are taken after `step` updates."""
    return config.measure_every > 0 and (step % config.measure_every == 0 or step == config.steps)


def is_landmark(config: TrainingConfig, step: int) -> bool:
    """Whether the checkpoint at `step` is always kept: step 0, powers of two, every `checkpoint_every`, the last."""
    return step & (step - 1) == 0 or step % config.checkpoint_every == 0 or step == config.steps


def is_checkpoint(config: TrainingConfig, step: int) -> bool:
    """Whether a checkpoint is written at `step`."""
    return is_landmark(config, step) or step % config.rolling_every == 0


def is_measured(config: TrainingConfig, step: int) -> bool:
    """Whether the norms of weights and gradients are measured at `step`."""
    return config.norms_every is not None and step % config.norms_every == 0


def outdated(config: TrainingConfig, steps: list[int], drop: Drop | None) -> list[int]:
    """Which of the checkpoints `steps` (ascending) may go: all but the landmarks, the rolling window, and those
    around the drop, which are the ones from a window before its onset to its end."""
    rolling = [step for step in steps if not is_landmark(config, step)]
    if drop is not None:
        first = drop.onset - ROLLING * config.rolling_every
        last = math.inf if drop.end is None else drop.end + config.rolling_every
        rolling = [step for step in rolling if not first <= step <= last]
    newest = set(steps[-ROLLING:])
    return [step for step in rolling if step not in newest]
