"""Making a figure or a table of the paper from a run or a sweep."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from abruptlab.arguments import choice
from abruptlab.errors import ConfigError, RunError
from abruptlab.figures.save import arrays, save_figure, save_table
from abruptlab.paper.catalogue import FIGURES, TABLES
from abruptlab.paper.findings import Findings
from abruptlab.paper.registry import Spec, shown_in
from abruptlab.run.run import NAMED
from abruptlab.system.files import writing

AnySpec = TypeVar("AnySpec", bound=Spec[Any])


def make_figure(figure: str, findings: Findings, command: str) -> list[Path]:
    """Measure, draw and save one figure in the `figures` folder; `command` is noted beside it.

    Returns the paths of the PNG, the PDF, the data (NPZ) and how it was made (JSON). Raises `ConfigError` for an
    id that does not exist, listing them all, and for a run where a sweep is needed or the other way round; `RunError`
    if the run lacks what the figure needs, or the files cannot be written.
    """
    spec = _suiting("figure", figure, FIGURES, findings)
    result = shown_in(spec, findings)
    drawing, data, how = spec.draw(result), arrays(result), _how(command, findings, spec)
    with writing(findings.folder):
        return save_figure(drawing, findings.folder / "figures", f"figure_{figure}", data, *how)


def make_table(table: str, findings: Findings, command: str) -> list[Path]:
    """Measure one table and write it to the `tables` folder as CSV, Markdown and LaTeX, with how it was made.

    Returns the paths. Raises as `make_figure` does.
    """
    spec = _suiting("table", table, TABLES, findings)
    content = spec.tabulate(shown_in(spec, findings))
    how = _how(command, findings, spec)
    with writing(findings.folder):
        return save_table(content, findings.folder / "tables", f"table_{table}", *how)


def _how(command: str, findings: Findings, spec: Spec[Any]) -> tuple[str, int, dict[str, Any]]:
    """How a figure or a table was made: by which command, with which seed, and from what."""
    return command, findings.options.get("seed", 0), findings.origin(spec.measure)


def _suiting(what: str, name: str, specs: Mapping[str, AnySpec], findings: Findings) -> AnySpec:
    """The figure or table, if the subject is such that it can be made of it."""
    if name not in specs:
        raise ConfigError(f"no {what} {name!r}; {choice(name, specs)}")
    spec = specs[name]
    findings.require(f"{what} {name}", spec.sweep)
    if not spec.sweep and spec.kind != (kind := findings.run.objective.kind):
        others = [other for other, each in specs.items() if not each.sweep and each.kind == kind]
        expected = f"{what} {name}: expected {NAMED[spec.kind]}, got {NAMED[kind]}"
        raise RunError(expected + (f", of which there are: {', '.join(others)}" if others else ""))
    return spec
