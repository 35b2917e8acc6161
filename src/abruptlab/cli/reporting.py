"""`report`: the page of a run, or the page over many."""

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from abruptlab.cli.looking import LookAndWrite


@dataclass
class Report:
    """Write the page of a run (report.html, which takes a minute or two), or that over the runs of a sweep or a folder
    (index.html, which links the pages of its runs that are there)."""

    run: Positional[str]
    """Run folder, a run that comes with the package (laptop, pocket, base), a sweep's folder, or a folder with runs in
    it."""
    out: Path | None = None
    """Where to write (default: the folder itself; for a run of the package, runs/NAME-shipped)."""

    def __call__(self) -> None:
        from abruptlab.report import build_folder_index, build_index, build_report

        folder = Path(self.run)
        if not any((folder / name).is_file() for name in ("config.toml", "sweep.toml")) and any(
            folder.glob("*/config.toml")
        ):
            print(build_folder_index(folder, self.out))
            return
        findings = LookAndWrite(run=self.run, out=self.out).findings()
        print(build_index(findings) if findings.sweep else build_report(findings))
