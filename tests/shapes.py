"""Shapes and types in signatures, checked while the tests run.

jaxtyping's own import hook checks every function in the same way, twice over and at every definition: a third of the
time of the tests. Here what has no shape is checked once, by beartype alone, and a function within a function only if
it has one.
"""

import ast
import re
import sys
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any, Self, get_args

import jaxtyping
from beartype import beartype

_DTYPES = "|".join(name for name in vars(jaxtyping) if name[0].isupper())
_WRITTEN = re.compile(rf"\b(?:{_DTYPES})\[")  # a shape in an annotation that is a string


def install(package: str) -> None:
    """Check all modules of the package that are imported from now on."""
    sys.meta_path.insert(0, _Finder(package))


def checked(what: Any) -> Any:
    """A function or a class whose shapes and types are checked at every call."""
    if isinstance(what, type):
        return jaxtyping.jaxtyped(typechecker=beartype)(what)  # pyright: ignore[reportCallIssue, reportArgumentType]
    hints = list(_parts(what.__annotations__.values()))
    shaped = any(_has_shape(hint) for hint in hints)
    if not shaped and (not hints or "<locals>" in what.__qualname__):
        return what
    if shaped or any(hint is Self or isinstance(hint, str) for hint in hints):
        return jaxtyping.jaxtyped(typechecker=beartype)(what)  # pyright: ignore[reportCallIssue, reportArgumentType]
    return beartype(what)


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
