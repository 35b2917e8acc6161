"""Rebuild the weights that come with the package from a finished run: python -m scripts.ship_weights RUN [FOLDER]

With FOLDER, they are written there instead of into the package.

A run of width WIDE or more ships the middle of its plateau and its end alone, in half precision, so that the package
stays below 25 MB.
"""

import shutil
import sys
from pathlib import Path

import torch

from abruptlab.errors import AbruptlabError
from abruptlab.run.checkpoints import checkpoint_folder, load_checkpoint, read_meta, save_checkpoint
from abruptlab.run.run import Run

WEIGHTS = Path(__file__).parents[1] / "src" / "abruptlab" / "weights"
WIDE = 256


def is_wide(run: Run) -> bool:
    """Whether the run's weights take too much room in single precision."""
    return run.config.model.width >= WIDE


def shipped_steps(run: Run) -> list[int]:
    """The milestones, and what shows how it came to them: after the copying was learnt, shortly before the drop, and
    in the middle of the fall, which lasts to the last step where the detector finds no end of it."""
    if not run.finished or run.drop is None:
        raise SystemExit(f"{run.folder}: expected a finished run with a drop, got {run.drop}")
    if is_wide(run):
        return sorted({run.milestones["before-drop"], run.milestones["final"]})
    onset, end = run.drop.onset, run.drop.end or run.steps[-1]
    between = [min(run.steps, key=lambda at: abs(at - moment)) for moment in (512, 0.8 * onset, (onset + end) / 2)]
    return sorted({*run.milestones.values(), *between})


def ship(run: Run, target: Path) -> None:
    """Copy config, metrics and some models (not the optimizer's state) to `target`, replacing it."""
    dtype = torch.float16 if is_wide(run) else torch.float32
    steps = shipped_steps(run)
    partial = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name in ("config.toml", "metrics.jsonl"):
        shutil.copy(run.folder / name, partial)
    for step in steps:
        weights = {name: value.to(dtype) for name, value in load_checkpoint(run.checkpoints, step).items()}
        save_checkpoint(partial / "checkpoints", step, weights, {}, read_meta(run.checkpoints, step).made_with)
        (checkpoint_folder(partial / "checkpoints", step) / "optimizer.safetensors").unlink()
    shutil.rmtree(target, ignore_errors=True)
    partial.replace(target)


if __name__ == "__main__":
    try:
        source = Run(sys.argv[1])
        target = WEIGHTS / source.config.name
        if len(sys.argv) > 2:
            target = Path(sys.argv[2])
            if len(sys.argv) > 3 or (target.exists() and any(target.iterdir())):
                sys.exit(f"{target} is not empty, or there are more words: expected RUN [FOLDER]")
        ship(source, target)
    except AbruptlabError as error:
        sys.exit(str(error))
