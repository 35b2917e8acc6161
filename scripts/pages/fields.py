"""Griffe extension: the fields of a dataclass as one table in its documentation, with what is said beside each.

The project documents a result's field by a comment at the end of its line, a configuration's by a docstring below it;
mkdocstrings knows the second alone, and spends a heading on each.
"""

from typing import Any, TypeGuard

import griffe


class Fields(griffe.Extension):
    """Gives dataclasses an `Attributes:` section and takes their fields out of the members that are shown."""

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Called for each class when all of its members are known."""
        if "dataclass" not in cls.labels or cls.docstring is None:
            return
        fields = [member for member in cls.members.values() if _is_field(member)]
        lines = [f"    {field.name} ({field.annotation}): {_said(field)}" for field in fields]
        cls.docstring.value += "\n\nAttributes:\n" + "\n".join(lines)
        for field in fields:
            del cls.members[field.name]


def _is_field(member: griffe.Object | griffe.Alias) -> TypeGuard[griffe.Attribute]:
    return member.is_attribute and "property" not in member.labels and not member.name.startswith("_")


def _said(field: griffe.Attribute) -> str:
    said = field.source.partition("  # ")[2] if field.docstring is None else " ".join(field.docstring.value.split())
    value = "" if field.value is None else str(field.value)
    return f"{said} Default: `{value}`." if value and not value.startswith("field(") else said
