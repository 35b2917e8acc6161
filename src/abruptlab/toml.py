"""TOML files: reading one, and what is said of a mistake in it."""

import sys
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from abruptlab.arguments import choice, validator
from abruptlab.errors import ConfigError

Kind = TypeVar("Kind")
IN_TOML = {  # pydantic's kinds of mistake: what was expected, in the words of TOML
    **dict.fromkeys(("int_type", "int_from_float", "int_parsing"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    "string_type": "a text in quotes",
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("tuple_type", "list_type"), "a list"),
    **dict.fromkeys(("dict_type", "dataclass_type"), "a table"),
}


def read_text(path: Path) -> str:
    """The text of a file. Raises `ConfigError` if there is none to be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from None
    except ValueError:  # or no path: a null byte in its name
        raise ConfigError(f"cannot read {path}: expected TOML, which is text in UTF-8") from None


def parsed(text: str) -> dict[str, Any]:
    """What a TOML text says. Raises `ConfigError` for numbers that Python does not read, and `tomllib.TOMLDecodeError`
    as `tomllib` does."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:
        digits = sys.get_int_max_str_digits()
        raise ConfigError(f"expected whole numbers of at most {digits:,} digits, got a longer one") from None


@contextmanager
def mistakes_of(source: object) -> Iterator[None]:
    """Raises a `ConfigError` that begins with the source, for text that is no TOML, or says what makes no sense."""
    try:
        yield
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source} is not TOML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{source} is not TOML that can be read: it is nested too deep") from None
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None


def validated(
    kind: type[Kind], table: dict[str, Any], known: Iterable[str], prefix: str = "", nearby: Iterable[str] = ()
) -> Kind:
    """A table as an object of that kind.

    Raises `ConfigError` with the first of pydantic's complaints, in a line; that of a field that is not `known` before
    all others: what is missing may be what it was to be. It may also have been one that is `nearby`.
    """
    from pydantic import ValidationError

    try:
        return validator(kind).validate_python(table)
    except ValidationError as error:
        mistakes, unknown = error.errors(), "unexpected_keyword_argument"
    mistake = min(mistakes, key=lambda each: each["type"] != unknown)
    where = prefix + ".".join(str(part) for part in mistake["loc"])
    if mistake["type"] == unknown:
        raise ConfigError(unknown_field(where, known, nearby))
    if mistake["type"] == "missing":
        raise ConfigError(f"{where}: expected a value, got none")
    said = mistake["msg"].removeprefix("Input should be ")
    expected = IN_TOML.get(mistake["type"], said[0].lower() + said[1:])
    raise ConfigError(f"{where}: expected {expected}, got {mistake['input']!r}")


def unknown_field(name: str, known: Iterable[str], nearby: Iterable[str] = ()) -> str:
    """What is said of a field that there is not: those that there are, and the one it was perhaps to be."""
    return f"unknown field {name}; {choice(name, known, nearby)}"


def flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The entries of nested tables, by dotted name. Raises `ConfigError` for a name that is there twice."""
    entries: dict[str, Any] = {}
    for name, value in table.items():
        inner = flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
        for twice in entries.keys() & inner.keys():
            raise ConfigError(f"{twice}: expected once, got it twice")
        entries |= inner
    return entries


def require_kinds(given: Any, taken: Any, where: str = "") -> None:
    """Raises `ConfigError` where pydantic has made a number of a text ("3"), or of true."""
    if isinstance(given, dict):
        for name, value in given.items():
            require_kinds(value, taken[name], f"{where}.{name}" if where else name)
    elif isinstance(given, list | tuple):
        for value, item in zip(given, taken, strict=True):
            require_kinds(value, item, where)
    elif isinstance(given, str | bool) and type(given) is not type(taken):
        expected = "true or false" if isinstance(taken, bool) else "a number"
        raise ConfigError(f"{where}: expected {expected}, got {given!r}")
