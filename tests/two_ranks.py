"""Run by torchrun in each of two processes: what several processes do to a run. The tests look at the folders."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import torch

import abruptlab.training.loop
from abruptlab.config import RunConfig, StartConfig
from abruptlab.errors import ConfigError
from abruptlab.presets import preset
from abruptlab.training.loop import Progress, train
from abruptlab.training.ranks import Ranks, torchrun


def with_training(config: RunConfig, **changes: object) -> RunConfig:
    return replace(config, training=replace(config.training, **changes))


SMOKE = preset("smoke")
RUNS = {
    "whole": SMOKE,
    "parts": with_training(SMOKE, micro_batch=4),
    "muon": with_training(SMOKE, optimizer="muon"),
    "mixture": replace(SMOKE, task=replace(SMOKE.matrices, sizes=((3, 3), (2, 4)), mask_probability=0.1)),
}


def frozen(folder: Path) -> RunConfig:
    return replace(SMOKE, seed=5, start=StartConfig(run=str(folder / "whole"), trained=("mlp",)))


def interrupt_the_first(progress: Progress) -> None:
    """Only one process gets the signal: those that write nothing never report."""
    if progress.step >= 33:
        os.kill(os.getpid(), signal.SIGINT)


def main(folder: Path) -> None:
    abruptlab.training.loop.REPORT_EVERY_S = 0.0
    torch.set_num_threads(1)
    with torchrun("cpu"):
        assert Ranks().count == 2
        for name, config in RUNS.items():
            train(config, folder / name, device="cpu")
        train(frozen(folder), folder / "frozen", device="cpu")
        try:
            train(SMOKE, folder / "resumed", device="cpu", report=interrupt_the_first)
        except KeyboardInterrupt:
            train(SMOKE, folder / "resumed", device="cpu", resume=True)
        try:
            train(with_training(SMOKE, batch=15), folder / "odd", device="cpu")
        except ConfigError as error:
            if Ranks().leads:
                (folder / "odd.txt").write_text(str(error))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
