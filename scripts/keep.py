"""What came of the plan's sweeps at laptop's scale, into results/: python -m scripts.keep [NAME ...]

Taken are figures, tables, verdicts, the page and the sweep's file, from where `abruptlab reproduce --everything --only
NAME` puts them to where `abruptlab.paper.plan` says. A run's results are of several seeds: see scripts.seeds.
"""

import shutil
import sys
from pathlib import Path

from abruptlab.paper.plan import ON_A_LAPTOP

KEPT = ("figures", "tables", "claims.json", "sweep.toml", "index.html")
SWEEPS = [name for name, home in ON_A_LAPTOP.items() if home.is_sweep]


def main(names: list[str]) -> None:
    """Copy what the sweeps of these names have; a name that has not been run is an error, before anything is copied."""
    homes = [ON_A_LAPTOP[name] for name in names]
    for home in homes:
        if not (Path(home.subject) / "claims.json").is_file():
            sys.exit(f"{home.subject}: no verdicts; first: abruptlab reproduce --everything --only {home.name}")
    for home in homes:
        out = Path("results") / home.folder
        out.mkdir(parents=True, exist_ok=True)
        for path in (Path(home.subject) / name for name in KEPT):
            if path.is_dir():
                shutil.copytree(path, out / path.name, dirs_exist_ok=True)
            elif path.is_file():
                shutil.copy(path, out)
        print(out)


if __name__ == "__main__":
    if strange := [name for name in sys.argv[1:] if name not in SWEEPS]:
        sys.exit(f"expected some of {', '.join(SWEEPS)}, got {strange[0]}")
    main(sys.argv[1:] or SWEEPS)
