"""What a resume drops of a run: rows of metrics, checkpoints. It is kept until the run has passed it again.

set-aside/until_000060/metrics.jsonl              the rows after the checkpoint from which the run goes on, as they were
                       checkpoints/step_000060    a checkpoint after it, damaged or not

The number is the step up to which it reaches.
"""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from abruptlab.system.files import sync_folder, whole_folder, write_atomically


class SetAside:
    """The folder `set-aside` of a run. All that writes raises `OSError` if it cannot."""

    def __init__(self, run_folder: Path) -> None:
        self.folder = run_folder / "set-aside"

    def take(self, until: int, rows: bytes, checkpoints: Sequence[Path]) -> None:
        """Copy these rows and move these checkpoints here; nothing else is needed to have them back."""
        target = self._free(until)
        with whole_folder(target) as partial:
            if rows:
                write_atomically(partial / "metrics.jsonl", rows)
        for checkpoint in checkpoints:
            (target / "checkpoints").mkdir(exist_ok=True)
            checkpoint.rename(target / "checkpoints" / checkpoint.name)
        sync_folder(self.folder)

    def let_go(self, step: int) -> None:
        """Delete what does not reach beyond `step`, which the run has made and saved again."""
        if not self.folder.is_dir():
            return
        for path in self.folder.iterdir():
            name = re.fullmatch(r"until_(\d+)(_\d+)?", path.name)
            if (name and int(name[1]) <= step) or path.name.startswith(".until_"):  # half copied before a kill
                shutil.rmtree(path)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _free(self, until: int) -> Path:
        """A name that is not taken yet: a run may be taken up again several times before it has passed a step."""
        path, again = self.folder / f"until_{until:06d}", 1
        while path.exists():
            path, again = self.folder / f"until_{until:06d}_{again}", again + 1
        return path
