"""The claims on a sweep, from the data of its saved figures: python -m scripts.judge_saved RESULTS ...

A sweep's runs are gigabytes and are not kept; what its figures draw is, and the claims are numbers of that. Writes
claims.json beside the figures.
"""

import sys
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np

from abruptlab.errors import AbruptlabError, RunError
from abruptlab.paper import FIGURES, Findings, write_claims
from abruptlab.paper.findings import which
from abruptlab.sweep.file import Sweep


class Saved(Findings):
    """Findings on a sweep whose measurements are those of its saved figures."""

    def of(self, measure: Callable[..., Any]) -> Any:
        function, _ = which(measure)
        for name, spec in FIGURES.items():
            path = self.folder / "figures" / f"figure_{name}.npz"
            if which(spec.measure) == which(measure) and path.is_file():
                with np.load(path, allow_pickle=False) as arrays:
                    return rebuilt(get_type_hints(function, localns={"Sweep": Sweep})["return"], arrays)
        raise RunError(f"{self.folder} has no saved figure of {function.__name__}")


def rebuilt(kind: type, arrays: Any, prefix: str = "") -> Any:
    """A result dataclass from the arrays that `figures.save.arrays` made of it.

    Not by its constructor: a figure that an older version saved lacks fields, which no claim can ask for then.
    """
    hints, result = get_type_hints(kind), object.__new__(kind)
    for field in fields(kind):
        name = f"{prefix}{field.name}"
        inner = hints[field.name]
        if isinstance(inner, type) and is_dataclass(inner):
            result.__dict__[field.name] = rebuilt(inner, arrays, f"{name}.")
        elif name in arrays:
            result.__dict__[field.name] = arrays[name]
    return result


if __name__ == "__main__":
    try:
        for folder in map(Path, sys.argv[1:]):
            path, verdicts = write_claims(Saved(Sweep(folder), folder))
            for verdict in verdicts:
                print(f"{verdict.id:30} {verdict.said:35} {verdict.number} [{verdict.bound}] null: {verdict.null}")
            print(path)
    except (AbruptlabError, OSError) as error:
        sys.exit(str(error))
