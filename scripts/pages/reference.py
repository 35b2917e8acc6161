"""The API reference: the package's public names by module, as `abruptlab/__init__.pyi` groups them."""

import ast
from dataclasses import is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import abruptlab

STUB = Path(abruptlab.__file__).with_suffix(".pyi")


def all_names() -> str:
    """The page's Markdown, which mkdocstrings fills with the docstrings: the public names, and after the functions that
    measure, the dataclasses of what they measured."""
    return "\n\n".join(_section(module, names) for module, names in names_by_module().items())


def names_by_module() -> dict[str, list[str]]:
    """The public names of every module that has some."""
    imports = [line for line in ast.parse(STUB.read_text()).body if isinstance(line, ast.ImportFrom)]
    return {str(line.module): [alias.name for alias in line.names] for line in imports}


def _section(place: str, names: list[str]) -> str:
    module = import_module(f"abruptlab.{place}")
    about = (module.__doc__ or "").partition("\n\n")[0]
    shown = [*names, *(result for result in _results(module.__dict__, names) if result not in names)]
    return "\n\n".join([f"## {place}", about, *(f"::: {module.__name__}.{name}" for name in shown)])


def _results(module: dict[str, Any], names: list[str]) -> list[str]:
    returned = dict.fromkeys(module[name].__annotations__["return"] for name in names if name.startswith("measure_"))
    own = [kind.__name__ for kind in returned if kind.__module__ == module["__name__"]]
    return [name for name in own if is_dataclass(module[name])]
