"""The mistakes in a recipe, in words: pydantic's findings as whoever wrote the file would say them."""

import difflib
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ValidationError

from foodscene.training.recipes.sections import Convolutional, Dense, Transfer


def sentences(error: ValidationError, recipe: type[BaseModel], path: Path, overridden: set[str]) -> Iterator[str]:
    """A line per mistake: file, key, what is wrong and what is allowed.

    `overridden` are the dotted keys that `--set` gave: mistakes there are not blamed on the file.
    """
    for mistake in error.errors():
        keys = list(_dotted(mistake["loc"]))
        where = "--set" if ".".join(keys) in overridden else str(path)
        said = mistake["msg"].removeprefix("Value error, ")
        if mistake["type"] == "extra_forbidden":
            allowed = sorted(_keys(recipe, mistake["loc"][:-1]))
            near = difflib.get_close_matches(keys[-1], allowed, n=1)
            said = f"unknown key.{f' Did you mean {near[0]}?' if near else ''} Allowed: {', '.join(allowed)}"
        elif mistake["type"] == "missing":
            said = "is missing"
        elif not isinstance(mistake["input"], dict):
            said += f", but it is {mistake['input']!r}"
        yield f"{where}: {'.'.join(keys) or 'the file'}: {said}."


def _dotted(location: tuple[int | str, ...]) -> Iterator[str]:
    """A location of pydantic's without the members of unions, which are no keys of the file."""
    for index, part in enumerate(location):
        member = location[:1] == ("model",) and index == 1
        if not member and not str(part).startswith(("constrained-", "tuple[", "literal[", "function-")):
            yield str(part)


def _keys(recipe: type[BaseModel], location: tuple[int | str, ...]) -> set[str]:
    """The keys that the section at a location of pydantic's may have."""
    sections: dict[str, type[BaseModel]] = {"dense": Dense, "convolutional": Convolutional, "transfer": Transfer}
    section = recipe
    for index, part in enumerate(location):
        member = location[:1] == ("model",) and index == 1
        annotation = sections[str(part)] if member else section.model_fields[str(part)].annotation
        for candidate in (annotation, *getattr(annotation, "__args__", ())):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                section = candidate
                break
    keys = set(section.model_fields)
    return keys if location else keys - {"name"} | {"extends"}
