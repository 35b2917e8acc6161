"""`export`: a checkpoint as a folder that transformers reads."""

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from abruptlab.errors import ConfigError


@dataclass
class Export:
    """Write a checkpoint as a folder for transformers and the Hugging Face hub, with a model card."""

    run: Positional[str]
    """Run folder, or a run that comes with the package."""
    out: Path
    """The folder to write."""
    step: str = "final"
    """A step, or one of start, before-drop, onset, after-drop, final."""
    overwrite: bool = False
    """Write over an older export."""

    def __call__(self) -> None:
        from abruptlab.run.export import export
        from abruptlab.run.pretrained import find_run

        run = find_run(self.run)
        if self.out.is_dir() and any(self.out.iterdir()) and not self.overwrite:
            raise ConfigError(f"{self.out} has files already: say --overwrite if it is an export, or --out elsewhere")
        export(run, self.out, self.step)
        print(self.out)
