"""Results of measurements on disk, so that a command that was killed, and the next one, measure nothing twice.

A result is its arrays in an NPZ, and in a JSON beside it what they are put together to and what they were made from.
"""

import hashlib
import importlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, TypeVar
from zipfile import BadZipFile

import numpy as np
from filelock import FileLock

from abruptlab.errors import RunError
from abruptlab.experiments.result import named
from abruptlab.figures.save import packed
from abruptlab.system.files import write_atomically, writing

Result = TypeVar("Result")

OURS = ("abruptlab.experiments.", "abruptlab.run.drop")  # where what results are made of is defined


def kept(path: Path, origin: Mapping[str, Any], measure: Callable[[], Result]) -> Result:
    """What is measured, or was when this was last asked with the very same origin: the files `path` with `.npz` and
    `.json`. Those that are damaged, or of another origin, are measured and written anew.

    Raises `RunError` if they cannot be written or ask for something else than a result, and `TypeError` for a result of
    something else than dataclasses, dictionaries by names, tuples, lists, arrays, numbers and text.
    """
    data, about = path.with_suffix(".npz"), path.with_suffix(".json")
    origin = json.loads(json.dumps(origin, default=repr))  # as it is read
    try:
        npz, said = data.read_bytes(), json.loads(about.read_bytes())
        if said["origin"] == origin and said["sha256"] == _digest(npz, said["result"]):
            with np.load(io.BytesIO(npz), allow_pickle=False) as arrays:
                return _together(said["result"], arrays)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError, BadZipFile):
        pass  # whoever wrote it: it is measured anew
    result, arrays = measure(), {}
    tree = _apart(result, arrays)
    npz = packed(arrays)
    said = {"origin": origin, "sha256": _digest(npz, tree), "result": tree}
    with writing(data.parent):
        data.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(data.parent / ".lock"):  # figures may be made and claims judged at once
            write_atomically(data, npz)
            write_atomically(about, json.dumps(said, indent=1) + "\n")
    return result


def _digest(npz: bytes, tree: Any) -> str:
    return hashlib.sha256(npz + json.dumps(tree).encode()).hexdigest()


def _apart(value: Any, arrays: dict[str, np.ndarray], place: str = "result") -> Any:
    """A result as JSON has it; its arrays are added to `arrays`, each by the place where it is."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.ndarray | np.generic):
        if place in arrays:
            raise TypeError(f"{place}: expected names without dots, got two arrays of that name")
        arrays[place] = np.asarray(value)
        return {"array" if isinstance(value, np.ndarray) else "scalar": place}
    if type(value) in (list, tuple):
        parts = [_apart(part, arrays, f"{place}.{index}") for index, part in enumerate(value)]
        return {type(value).__name__: parts}
    if is_dataclass(value) or isinstance(value, dict):
        if isinstance(value, dict) and (strange := [name for name in value if not isinstance(name, str)]):
            raise TypeError(f"{place}: expected names, got {strange[0]!r}")
        parts = {name: _apart(part, arrays, f"{place}.{name}") for name, part in named(value).items()}
        if type(value) is dict:
            return {"dict": parts}
        _class(kind := f"{type(value).__module__}:{type(value).__name__}")
        return {"class": kind, "parts": parts}
    raise TypeError(f"{place}: expected what results are made of, got {type(value).__name__}")


def _together(tree: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """What `_apart` took apart."""
    match tree:
        case {"array": place}:
            return arrays[place]
        case {"scalar": place}:
            return arrays[place][()]
        case {"list": parts}:
            return [_together(part, arrays) for part in parts]
        case {"tuple": parts}:
            return tuple(_together(part, arrays) for part in parts)
        case {"dict": dict(parts)}:
            return {name: _together(part, arrays) for name, part in parts.items()}
        case {"class": str(name), "parts": dict(parts)}:
            return _class(name)(**{part: _together(value, arrays) for part, value in parts.items()})
        case dict():
            raise ValueError(f"expected what a result is taken apart to, got {tree}")
        case _:
            return tree


def _class(name: str) -> Callable[..., Any]:
    """A class that results are made of. No other, as a folder may come from somebody else."""
    module, _, attribute = name.partition(":")
    kind = getattr(importlib.import_module(module), attribute, None) if module.startswith(OURS) else None
    if not isinstance(kind, type) or kind.__module__ != module:
        raise RunError(f"expected the name of a class of results, got {name!r}")
    return kind
