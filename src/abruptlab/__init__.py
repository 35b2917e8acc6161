"""abruptlab: train a transformer on matrix completion, catch the sudden drop, see what changed inside.

The public names are imported when first used, so that `import abruptlab` (and the command line) is instant:
`__init__.pyi` lists them.
"""

import lazy_loader

_public, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("abruptlab")
        except PackageNotFoundError:  # a source tree that is not installed
            return "source tree"
    return _public(name)
