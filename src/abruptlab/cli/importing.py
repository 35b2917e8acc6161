"""`import`: other people's checkpoints as a run."""

from dataclasses import dataclass, replace
from pathlib import Path

from tyro.conf import Positional

from abruptlab.cli.printing import print_state
from abruptlab.presets import preset


@dataclass
class Import:
    """Make a run folder of checkpoints of the authors' code (.tar), or of folders of Hugging Face BERTs."""

    files: Positional[tuple[Path, ...]]
    """The checkpoints, of one model."""
    out: Path
    """The run folder to write; it must not be there yet."""
    preset: str | None = None
    """The preset whose matrices the model completes (default: what an exported folder says, else paper)."""
    size: tuple[int, int] | None = None
    """Rows and columns of the matrices, where they differ from these."""
    rank: int | None = None
    """Their rank, likewise."""
    steps: tuple[int, ...] = ()
    """Of each file, the updates until then (default: what the file says)."""
    heads: int | None = None
    """Attention heads a layer of the authors' code (default: tried out; a wrong number does not copy)."""
    losses: Path | None = None
    """CSV of the training with the columns step, loss, loss_observed, loss_masked."""
    before_drop: int | None = None
    """Without losses, the checkpoint in the middle of the plateau."""
    onset: int | None = None
    """Without losses, the checkpoint where the drop begins."""
    after_drop: int | None = None
    """Without losses, the checkpoint after the drop."""

    def __call__(self) -> None:
        from abruptlab.errors import ConfigError
        from abruptlab.run.imported import import_run, task_of
        from abruptlab.run.run import AROUND_THE_DROP

        if not self.files:
            raise ConfigError("import: expected one checkpoint or more")
        told = None if self.preset else task_of(self.files[0])
        task = told or preset(self.preset or "paper").matrices
        rank = task.rank if self.rank is None else self.rank
        task = replace(task, sizes=(self.size,) if self.size else task.sizes, rank=rank)
        given = {name: getattr(self, name.replace("-", "_")) for name in AROUND_THE_DROP}
        milestones = {name: step for name, step in given.items() if step is not None}
        run = import_run(self.files, self.out, task, self.steps, self.heads, self.losses, milestones)
        print(f"{self.out}: {run.config.model.layers} layers, {run.config.model.heads} heads")
        print_state(run)
