"""Writing a figure or a table together with what it takes to check it and to make it again."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from tabulate import tabulate

from abruptlab.experiments.result import is_nested, named
from abruptlab.figures.style import paper_style
from abruptlab.figures.table import Table
from abruptlab.system.devices import choose_device
from abruptlab.system.files import write_atomically
from abruptlab.system.provenance import device_name, versions


def arrays(result: Any) -> dict[str, np.ndarray]:
    """A result, a dataclass or a dictionary, as named arrays; those of one within it are called `outer.inner`, None is
    left out."""
    flat = {}
    for name, value in named(result).items():
        if is_nested(value):
            flat |= {f"{name}.{inner}": array for inner, array in arrays(value).items()}
        elif value is not None:
            flat[name] = np.asarray(value)
    return flat


def save_figure(
    figure: Figure,
    folder: Path,
    name: str,
    data: Mapping[str, np.ndarray],
    command: str,
    seed: int,
    made_from: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write `{name}.png`, `.pdf`, `.npz` (what is drawn) and `.json` (how it was made, and from what) to `folder`, each
    atomically, the last one last: if it is there, the others are its own.

    Returns the four paths. The same figure and data give the same bytes. Raises `OSError` if they cannot be written.
    """
    contents = {
        **_rendered(figure),
        "npz": packed(data),
        "json": _made_with(command, seed, made_from),
    }
    return _write(folder, name, contents)


def save_table(
    table: Table, folder: Path, name: str, command: str, seed: int, made_from: Mapping[str, Any] | None = None
) -> list[Path]:
    """Write `{name}.csv`, `.md`, `.tex` (booktabs) and `.json` (how it was made) to `folder`, each atomically.

    Returns the four paths. Raises `OSError` if they cannot be written.
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([table.columns, *table.rows])
    contents = {
        "csv": text.getvalue(),
        "md": tabulate(table.rows, table.columns, "github") + "\n",
        "tex": tabulate(table.rows, table.columns, "latex_booktabs") + "\n",
        "json": _made_with(command, seed, made_from),
    }
    return _write(folder, name, contents)


def is_made_from(picture: Path, made_from: Mapping[str, Any]) -> bool:
    """Whether a figure that `save_figure` may have written is there, with its data, and made from that."""
    try:
        made = json.loads(picture.with_suffix(".json").read_bytes())
    except (OSError, ValueError):
        return False
    there = picture.is_file() and picture.with_suffix(".npz").is_file()
    return there and isinstance(made, dict) and made.get("made_from") == made_from


def _made_with(command: str, seed: int, made_from: Mapping[str, Any] | None) -> str:
    made = {"command": command, "seed": seed, "device": device_name(choose_device()), **versions()}
    return json.dumps(made | ({} if made_from is None else {"made_from": dict(made_from)}), indent=1) + "\n"


def _write(folder: Path, name: str, contents: Mapping[str, bytes | str]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").unlink(missing_ok=True)  # until all is written it says of none how it was made
    paths = []
    for ending, content in contents.items():
        paths.append(folder / f"{name}.{ending}")
        write_atomically(paths[-1], content)
    return paths


def _rendered(figure: Figure) -> dict[str, bytes]:
    """PNG and PDF, laid out once: finding a layout takes as long as drawing."""
    png, engine = render(figure, "png"), figure.get_layout_engine()
    with paper_style():  # by which None is no engine, as no caller's settings ask for one
        figure.set_layout_engine(None)  # leaves everything where it is, and is not drawn for twice as "none" is
    try:
        return {"png": png, "pdf": render(figure, "pdf")}
    finally:
        figure.set_layout_engine(engine)


def render(figure: Figure, ending: str) -> bytes:
    """A figure as PNG or PDF, without what differs from one time to the next."""
    metadata: dict[str, Any] = {"Software": None} if ending == "png" else {"CreationDate": None}
    buffer = io.BytesIO()
    with paper_style():  # ticks are made when the figure is rendered
        figure.savefig(buffer, format=ending, metadata=metadata)
    return buffer.getvalue()


def packed(data: Mapping[str, np.ndarray]) -> bytes:
    """The arrays as an NPZ file. Raises `TypeError` for Python objects, which would be pickled."""
    for name, array in data.items():
        if array.dtype.hasobject:
            raise TypeError(f"{name}: expected an array of numbers or text, got one of objects")
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **dict(data))  # pyright: ignore[reportArgumentType] # no array is called allow_pickle
    return buffer.getvalue()
