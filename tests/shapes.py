"""Shapes and types in signatures, checked while the tests run.

jaxtyping's own import hook checks every function in the same way, twice over and at every definition: a third of the
time of the tests. Here arguments and results are checked once, by beartype, which asks jaxtyping about shapes alone;
and a function within a function only if it has one.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import is_dataclass
from functools import wraps
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from inspect import isgeneratorfunction
from types import CodeType, ModuleType
from typing import Any, Self, get_args

import jaxtyping
from beartype import BeartypeConf, beartype

_DTYPES = "|".join(name for name in vars(jaxtyping) if name[0].isupper())
_WRITTEN = re.compile(rf"\b(?:{_DTYPES})\[")  # a shape in an annotation that is a string
_AS_JAXTYPING = BeartypeConf(violation_type=jaxtyping.TypeCheckError)


def install(package: str) -> None:
    """Check all modules of the package that are imported from now on."""
    sys.meta_path.insert(0, _Finder(package))


def checked(what: Any) -> Any:
    """A function or a class whose shapes and types are checked at every call."""
    if isinstance(what, type):
        if is_dataclass(what):
            what.__init__ = _with_sizes(what.__init__)  # pyright: ignore[reportAttributeAccessIssue]
        return what
    hints = list(_parts(what.__annotations__.values()))
    if any(_has_shape(hint) for hint in hints):
        return _with_sizes(what)
    if not hints or "<locals>" in what.__qualname__:
        return what
    return _with_sizes(what) if _is_unclear(hints) else beartype(what)


def _with_sizes(function: Callable[..., Any]) -> Callable[..., Any]:
    """A checked function in whose every call a name stands for one size, in arguments and result."""
    lazy = isgeneratorfunction(function)  # beartype would check its arguments within whatever call asks for the first
    if lazy or _is_unclear(_parts(function.__annotations__.values())):
        return jaxtyping.jaxtyped(typechecker=beartype)(function)  # pyright: ignore[reportCallIssue, reportArgumentType]
    once = beartype(conf=_AS_JAXTYPING)(function)

    @wraps(function)
    def with_sizes(*args: Any, **kwargs: Any) -> Any:
        with jaxtyping.jaxtyped("context"):
            return once(*args, **kwargs)

    return with_sizes


def _is_unclear(hints: Iterable[Any]) -> bool:
    """Whether beartype alone could not make out what some annotation means."""
    return any(hint is Self or isinstance(hint, str) for hint in hints)


def _parts(hints: Any) -> Iterator[Any]:
    """The annotations and all that stands within them."""
    for hint in hints:
        yield hint
        yield from _parts(hint if isinstance(hint, list) else get_args(hint))


def _has_shape(hint: Any) -> bool:
    if isinstance(hint, str):
        return bool(_WRITTEN.search(hint))
    return isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray)


class _Decorator(ast.NodeTransformer):
    """Puts `checked` next to every function, and above all other decorators of every class."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        node.decorator_list.append(_name(node))
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        self.generic_visit(node)
        node.decorator_list.insert(0, _name(node))
        return node


def _name(node: ast.AST) -> ast.expr:
    [statement] = ast.parse("__import__('tests.shapes').shapes.checked").body
    assert isinstance(statement, ast.Expr)
    return ast.copy_location(statement.value, node)


class _Loader(SourceFileLoader):
    """Compiles anew, and writes nothing into the caches: they are those of the code as it is."""

    def get_code(self, fullname: str) -> CodeType:
        tree = ast.parse(self.get_data(self.path), self.path)
        return compile(_Decorator().visit(tree), self.path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname.partition(".")[0] != self._package:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec
