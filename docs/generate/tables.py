"""Markdown tables, and Python's types in the words of whoever fills in a value."""

import json
import types
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from foodscene.training.reports import markdown
from foodscene.training.reports.markdown import Markdown

_WORDS = {int: "whole number", float: "number", str: "text", bool: "true or false", Path: "path"}
_SIGNS = {annotated_types.Gt: ">", annotated_types.Ge: "≥", annotated_types.Lt: "<", annotated_types.Le: "≤"}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table of cells that are Markdown."""
    lines = ([Markdown(" ".join(cell.split()).replace("|", "\\|")) for cell in line] for line in (head, *rows))
    return markdown.table(lines, align="---")


def values(field: FieldInfo) -> str:
    """What a field of a pydantic model may be."""
    return _spell(field.annotation) + _bounds(field.metadata)


def default(field: FieldInfo) -> str:
    """A field's value where none is given, as TOML spells it."""
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        changed = value.model_dump(exclude_defaults=True)
        return ", ".join(f"`{key} = {json.dumps(one)}`" for key, one in changed.items()) or "its defaults"
    return "absent" if value is None else f"`{json.dumps(value, default=str)}`"


def _spell(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        spelled = _spell(arguments[0]) + _bounds(arguments[1:])
    elif origin is Literal:
        spelled = ", ".join(f"`{json.dumps(argument)}`" for argument in arguments)
    elif origin in (Union, types.UnionType):
        spelled = " or ".join(dict.fromkeys(_spell(argument) for argument in arguments if argument is not type(None)))
    elif origin is tuple and arguments[-1] is Ellipsis:
        spelled = f"list of: {_spell(arguments[0])}"
    elif origin is tuple:
        spelled = f"[{', '.join(map(_spell, arguments))}]"
    else:
        spelled = _WORDS.get(annotation) or f"as `[{annotation.__name__.lower()}]`"
    return spelled


def _bounds(metadata: Iterable[Any]) -> str:
    found = []
    for bound in metadata:
        for kind, sign in _SIGNS.items():
            if isinstance(bound, kind):
                found.append(f"{sign} {getattr(bound, kind.__name__.lower())}")
    return f" {', '.join(found)}" if found else ""
