"""What functions and configurations are given: a mistake is one line with its name, what was expected and what came."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from functools import cache, wraps
from inspect import Parameter, formatannotation, signature
from numbers import Integral, Real
from types import NoneType, SimpleNamespace, UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from abruptlab.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

MADE = {  # where to get one: what a class's own name does not say
    "Run": "abruptlab.Run(folder) or abruptlab.pretrained_run(name)",
    "RunConfig": "abruptlab.preset(name)",
    "Sweep": "abruptlab.Sweep(folder)",
    "Module": "Run.load(step)",
    "Encoder": "Run.load(step)",
    "Decoder": "Run.load(step)",
    "MatrixTask": "Run.config.task",
    "Batch": "abruptlab.sample(task, batch, seed)",
    "Vocabulary": "abruptlab.Vocabulary.of(task)",
}
LISTS = Sequence, Collection, Iterable
UNIONS = Union, UnionType
LONGEST = 60  # characters of a value in a message

Function = TypeVar("Function", bound=Callable[..., Any])
Value = TypeVar("Value")


@cache
def validator(kind: type) -> "TypeAdapter[Any]":
    """Pydantic's view of a class that is read from a file, which takes long to make."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def require(holds: bool, name: str, expected: str, given: object) -> None:
    """Raises `ConfigError`, naming the field or argument, unless its value makes sense."""
    if not holds:
        raise ConfigError(f"{name}: expected {expected}, got {given}")


def require_count(count: Any, name: str, least: int = 1, most: int | None = None) -> None:
    """Raises `ConfigError` unless it is a whole number of at least `least`, and at most `most`."""
    bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
    fits = _fits(count, int) and count >= least and (most is None or count <= most)
    require(fits, name, f"a whole number {bounds}", shown(count))


def different(name: str, values: Iterable[Value]) -> list[Value]:
    """The values. Raises `ConfigError` if one of them is there twice."""
    count = Counter(values)
    for value, times in count.items():
        require(times == 1, name, "each once", f"{value} {times} times")
    return [*count]


def choice(name: object, known: Iterable[str], nearby: Iterable[str] = ()) -> str:
    """What is said where a name is none of the known ones: those that there are, and `meant`."""
    known = list(known)
    return f"there are: {', '.join(known)}{meant(name, known, nearby)}"


def meant(name: object, known: Iterable[str], nearby: Iterable[str] = ()) -> str:
    """The known name, or one that is `nearby`, that was perhaps meant, as a question: spelt likewise, or the same after
    the last point. Empty if there is none."""
    known = list(known)
    inner = {each.rpartition(".")[2]: each for each in (*nearby, *known)}
    last = str(name).rpartition(".")[2]
    tables = {each.partition(".")[0] for each in known}
    near = [inner[last]] if last in inner and last == name else get_close_matches(str(name), [*known, *tables], 1)
    near = near or [inner[one] for one in get_close_matches(last, inner, 1)]
    return "".join(f"; did you mean {each}?" for each in near)


def require_types(config: Any) -> None:
    """Raises `ConfigError` for a field of another type than it says, or a word that is none of those it has: no branch
    may be the last by mistake."""
    for name, hint in _field_hints(type(config)).items():
        _require_type(getattr(config, name), hint, name)


def checked(function: Function) -> Function:
    """A public function that raises `ConfigError` for an argument of another type than it says, and for an empty one
    where it says `Sequence`: nothing would be looked at. What a callable takes and gives is left to the function."""
    parameters = signature(function)

    @wraps(function)
    def with_checks(*arguments: Any, **named: Any) -> Any:
        try:
            given = parameters.bind(*arguments, **named).arguments
        except TypeError:  # an argument too few or too many: Python's own words name the function
            return function(*arguments, **named)
        for name, hint in _argument_hints(function).items():
            if name in given:
                several = parameters.parameters[name].kind is Parameter.VAR_POSITIONAL
                for value in given[name] if several else [given[name]]:
                    _require_type(value, hint, name)
                    some = not _is_of_some(hint) or not isinstance(value, Collection) or len(value) > 0
                    require(some, name, "at least one", "none")
        return function(*arguments, **named)

    return cast(Function, with_checks)


def _require_type(value: Any, hint: Any, name: str) -> None:
    if not _fits(value, hint):
        raise ConfigError(f"{name}: expected {_named(hint)}, got {shown_with_type(value)}")


@cache
def _field_hints(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {each.name: hints[each.name] for each in fields(kind)}


@cache
def _argument_hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Of `*inputs` that of each; what is named by the caller alone has none."""
    stated = {
        name: each.annotation
        for name, each in signature(function).parameters.items()
        if each.annotation is not each.empty and each.kind is not each.VAR_KEYWORD
    }
    return get_type_hints(SimpleNamespace(__annotations__=stated), getattr(function, "__globals__", {}))


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type. NumPy's numbers are numbers, and lists are tuples; a word is no list of letters."""
    inner, origin = get_args(hint), get_origin(hint)
    if hint in (int, float):
        return isinstance(value, Integral if hint is int else Real) and not isinstance(value, bool)
    if origin is Literal:
        return value in inner
    if origin is tuple:
        if not isinstance(value, tuple | list):
            return False
        each = inner[:1] * len(value) if inner[-1] is ... else inner
        return len(value) == len(each) and all(map(_fits, value, each))
    if origin in LISTS:
        if not isinstance(value, Collection):
            return origin is Iterable and isinstance(value, Iterable)  # which can be gone through once
        return not isinstance(value, str | bytes | Mapping) and all(_fits(one, inner[0]) for one in value)
    if origin in (Mapping, Callable):
        return isinstance(value, origin)
    if origin in UNIONS:
        return any(_fits(value, one) for one in inner)
    if hasattr(hint, "array_type"):
        from jaxtyping import jaxtyped

        with jaxtyped("context"):  # in which no name of a dimension has a size yet
            return isinstance(value, hint)
    return hint is Any or not isinstance(hint, type) or isinstance(value, hint)


def _is_of_some(hint: Any) -> bool:
    """Whether a type is a `Sequence`, or may be one."""
    origin = get_origin(hint)
    return origin is Sequence or (origin in UNIONS and any(map(_is_of_some, get_args(hint))))


def _named(hint: Any, alone: bool = True) -> str:
    """A type in words, with an article and where to get one if it stands alone."""
    inner, origin = get_args(hint), get_origin(hint)
    if origin is Literal:
        return _either(map(str, inner))
    if origin in UNIONS:
        return _either(_named(one, alone=False) for one in inner)
    if origin is tuple and inner[-1] is not ...:
        return f"({', '.join(_named(one, alone=False) for one in inner)})"
    if origin in (tuple, *LISTS):
        return f"a list of {_named(inner[0], alone=False)}"
    if origin is Mapping:
        return f"a dictionary from {_named(inner[0], alone=False)} to {_named(inner[1], alone=False)}"
    if origin is Callable:
        return "a function"
    name = getattr(hint, "__name__", formatannotation(hint))
    if hint is NoneType:
        return "None"
    if not alone or not isinstance(hint, type) or hint.__module__ == "builtins" or "[" in name:
        return name
    return f"{_article(name)} {name}" + (f", as {MADE[name]} gives" if name in MADE else "")


def _either(words: Iterable[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def _article(name: str) -> str:
    return "an" if name[0] in "AEIOUaeiou" else "a"


def shown(value: Any) -> str:
    """A value as it is written, or, if that is long or says nothing, what it is."""
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"{str(value.dtype).removeprefix('torch.')} {[*value.shape]}"
    text = repr(value)
    plain = isinstance(value, str | int | float | complex | list | tuple | dict | set | None)
    return text if plain and len(text) <= LONGEST else f"{_article(type(value).__name__)} {type(value).__name__}"


def shown_with_type(value: Any) -> str:
    """The same, where an array may stand for a tensor or a tensor for an array: which of them it is comes first."""
    is_array = hasattr(value, "dtype") and hasattr(value, "shape")
    return f"{_article(type(value).__name__)} {type(value).__name__}, {shown(value)}" if is_array else shown(value)
