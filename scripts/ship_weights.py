"""Rebuild the weights that come with the package from a finished run: python -m scripts.ship_weights RUN"""

import shutil
import sys
from pathlib import Path

from abruptlab.errors import AbruptlabError
from abruptlab.run.checkpoints import checkpoint_folder
from abruptlab.run.run import Run

WEIGHTS = Path(__file__).parents[1] / "src" / "abruptlab" / "weights"


def shipped_steps(run: Run) -> list[int]:
    """The milestones, and what shows how it came to them: after the copying was learnt, shortly before the drop, and
    in the middle of the fall, which lasts to the last step where the detector finds no end of it."""
    if not run.finished or run.drop is None:
        raise SystemExit(f"{run.folder}: expected a finished run with a drop, got {run.drop}")
    onset, end = run.drop.onset, run.drop.end or run.steps[-1]
    between = [min(run.steps, key=lambda at: abs(at - moment)) for moment in (512, 0.8 * onset, (onset + end) / 2)]
    return sorted({*run.milestones.values(), *between})


def ship(run: Run, target: Path) -> None:
    """Copy config, metrics and some models (not the optimizer's state) to `target`, replacing it."""
    steps = shipped_steps(run)
    partial = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name in ("config.toml", "metrics.jsonl"):
        shutil.copy(run.folder / name, partial)
    for step in steps:
        run.load(step)  # raises if it is damaged
        shutil.copytree(
            checkpoint_folder(run.checkpoints, step),
            checkpoint_folder(partial / "checkpoints", step),
            ignore=shutil.ignore_patterns("optimizer.safetensors"),
        )
    shutil.rmtree(target, ignore_errors=True)
    partial.replace(target)


if __name__ == "__main__":
    try:
        source = Run(sys.argv[1] if len(sys.argv) == 2 else "")
        ship(source, WEIGHTS / source.config.name)
    except AbruptlabError as error:
        sys.exit(str(error))
