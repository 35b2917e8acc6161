"""What an experiment returns is a dataclass of arrays, shown by what is in them instead of by thousands of numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import numpy as np

Result = TypeVar("Result")

FEW = 8  # numbers that are shown themselves
LONG = 80  # characters of anything else


class Outlined:
    """Base of results: dataclasses whose `repr` has a line for each field."""

    def __init_subclass__(cls) -> None:
        cls.__repr__ = Outlined.__repr__  # a dataclass would write its own over one that is inherited

    def __repr__(self) -> str:
        return "\n".join([type(self).__name__, *_outline(self)])


def named(result: Any) -> Mapping[str, Any]:
    """What is in a result, a dataclass or a dictionary, by name."""
    return result if isinstance(result, Mapping) else {each.name: getattr(result, each.name) for each in fields(result)}


def is_nested(value: object) -> bool:
    """Whether what is in a result is a result itself."""
    return is_dataclass(value) or isinstance(value, Mapping)


def _outline(result: Any, indent: str = "  ") -> list[str]:
    shown = named(result)
    width, lines = max(map(len, shown)), []
    for name, value in shown.items():
        inner = isinstance(value, Outlined)
        lines.append(f"{indent}{name:{width}}  {type(value).__name__ if inner else _shown(value)}")
        lines += _outline(value, indent + "  ") if inner else []
    return lines


def _shown(value: object) -> str:
    if isinstance(value, np.ndarray):
        if value.size <= FEW:
            return np.array2string(value, precision=4, separator=", ").replace("\n", "")
        what = f"{value.dtype} {[*value.shape]}"
        known = value[np.isfinite(value)] if value.dtype.kind == "f" else np.empty(0)
        return f"{what}, {known.min():.4g} to {known.max():.4g}" if known.size else what
    if isinstance(value, dict | list | tuple) and len(repr(value)) > LONG:
        return f"{type(value).__name__} of {len(value)}"
    return repr(value)


def stack(results: Sequence[Result]) -> Result:
    """Several results of one dataclass, or dictionary, of arrays as one, with a new first axis on every array."""
    columns = zip(*(named(result).values() for result in results), strict=True)
    return _like(results[0], [stack(column) if is_nested(column[0]) else np.stack(column) for column in columns])


def unstack(result: Result) -> list[Result]:
    """The results that `stack` put together."""
    values = named(result).values()
    columns = [unstack(value) if is_nested(value) else [np.asarray(part) for part in value] for value in values]
    return [_like(result, parts) for parts in zip(*columns, strict=True)]


def _like(result: Any, values: Sequence[Any]) -> Any:
    """A result of the same kind with other values."""
    if isinstance(result, Mapping):
        return type(result)(dict(zip(result, values, strict=True)))  # pyright: ignore[reportCallIssue]
    return type(result)(*values)
