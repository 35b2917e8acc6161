"""Templates filled in: everything that is not a template's own text is escaped."""

from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup


def fill(template: str, **content: Any) -> str:
    """A template of this folder as one HTML file; its style sheets and scripts are put into it by `asset(name)`."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, loader=FunctionLoader(_read)
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}  # small, and keys in the order given
    return environment.get_template(template).render(asset=lambda name: Markup(_read(name)), **content)


def _read(name: str) -> str:
    return files("abruptlab.report").joinpath(name).read_text(encoding="utf-8")
