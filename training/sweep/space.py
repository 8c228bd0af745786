"""What a search looks for: a `SPACE.toml`, read and checked."""

import itertools
import json
import math
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PositiveInt,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from foodscene.models.errors import FoodsceneError

_LARGEST_GRID = 10_000
_RANGE = {"low", "high", "log"}


class SpaceError(FoodsceneError, ValueError):
    """A `SPACE.toml` that cannot be searched. Its text says what to change."""


class Range(BaseModel):
    """Values between two numbers; whole ones where both are whole. `log` draws their logarithms evenly."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    low: int | float
    high: int | float
    log: bool = False

    @field_validator("low", "high", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"write a number, not {value!r}")
        return value

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError("low must be below high, and above 0 where log = true")
        return self

    @property
    def whole(self) -> bool:
        """Whether whole numbers are drawn alone."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def examples(self) -> list[int | float]:
        """Its ends, and a value in between as it may be drawn."""
        return [self.low, self.high] if self.whole else [self.low, self.high, self.low + (self.high - self.low) * 0.377]


def _kind(value: object) -> str:
    return "list" if isinstance(value, list) else "range"


Values = Annotated[Annotated[list[Any], Tag("list")] | Annotated[Range, Tag("range")], Discriminator(_kind)]


class Space(BaseModel):
    """A `SPACE.toml`: which recipe, what is varied, how it is searched.

    `settings` holds for all trials; `space` gives a list of values or a range for each dotted key of the recipe.
    `final` is set, over all that, when the best is trained for longer. The figure to maximize is the top-1 on
    validation photos: the test photos are for the final figure alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    recipe: str
    search: Literal["grid", "random", "tpe"] = "tpe"
    trials: PositiveInt = 20
    seed: int = 0
    prune: bool = True
    """Whether TPE ends trials that are behind the median of the others at the same epoch."""
    settings: dict[str, Any] = {}
    space: dict[str, Values] = Field(min_length=1)
    final: dict[str, Any] = {}

    @field_validator("space", mode="before")
    @classmethod
    def _dotted(cls, table: object) -> object:
        """Keys as they are meant, with quotes around `optimizer.name` or without: TOML reads tables in tables then."""
        return dict(_searched(table)) if isinstance(table, dict) else table

    @field_validator("space")
    @classmethod
    def _listed_once(cls, space: dict[str, Values]) -> dict[str, Values]:
        for key, values in space.items():
            spelled = [_spelled(key, value) for value in values] if isinstance(values, list) else ["a range"]
            if not spelled:
                raise ValueError(f"{key} lists no value")
            if twice := [value for value in spelled if spelled.count(value) > 1]:
                raise ValueError(f"{key} lists {twice[0]} twice")
        return space

    @model_validator(mode="after")
    def _grid_has_lists(self) -> "Space":
        if self.search == "grid" and (ranges := [key for key, one in self.space.items() if isinstance(one, Range)]):
            raise ValueError(f"a grid takes a list of values for every key, but {', '.join(ranges)} has a range")
        return self

    @field_validator("settings", "final")
    @classmethod
    def _spellable(cls, table: dict[str, Any]) -> dict[str, Any]:
        for key, value in flat(table).items():
            _spelled(key, value)
        return table

    def combinations(self) -> Iterator[dict[str, Any]]:
        """The Cartesian product of all lists, in Optuna's spelling."""
        lists = [[json.dumps(value) for value in one] for one in self.space.values() if isinstance(one, list)]
        for values in itertools.product(*lists):
            yield dict(zip(self.space, values, strict=True))

    def distributions(self) -> dict[str, BaseDistribution]:
        """What Optuna draws from; listed values as JSON, which is also how TOML spells them."""
        return {key: _distribution(values) for key, values in self.space.items()}

    def overrides(self, parameters: Mapping[str, Any], *, final: bool = False) -> list[str]:
        """A trial's settings as `--set` takes them."""
        drawn = {key: value if isinstance(value, str) else json.dumps(value) for key, value in parameters.items()}
        fixed = {key: json.dumps(value) for key, value in flat(self.settings).items()}
        longer = {key: json.dumps(value) for key, value in flat(self.final).items()} if final else {}
        return [f"{key}={value}" for key, value in {**fixed, **drawn, **longer}.items()]


def read_space(path: Path) -> Space:
    """Read a `SPACE.toml` and check it, each of its values with the recipe that it names.

    Raises `SpaceError` and `RecipeError`.
    """
    try:
        space = Space.model_validate(tomllib.loads(path.read_text(encoding="utf-8-sig")))
    except OSError as error:
        raise SpaceError(f"{path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpaceError(f"{path}: not valid TOML: {error}") from None
    except ValidationError as error:
        raise SpaceError("\n".join(dict.fromkeys(f"{path}: {_sentence(one)}" for one in error.errors()))) from None
    size = math.prod(len(values) if isinstance(values, list) else 1 for values in space.space.values())
    if space.search == "grid" and size > _LARGEST_GRID:
        raise SpaceError(f'{path}: the grid has {size:,} combinations; take search = "tpe" or fewer values.')
    _check(space, path)
    return space


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The leaves of nested tables by their dotted keys."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def _check(space: Space, path: Path) -> None:
    """Try every value in the recipe, beside the first ones of the other keys, and what is set for the best."""
    from foodscene.training.recipes import recipe

    base = recipe.load(space.recipe)
    examples = {key: one if isinstance(one, list) else one.examples() for key, one in space.space.items()}
    spelled = {key: [json.dumps(value) for value in values] for key, values in examples.items()}
    first = {key: values[0] for key, values in spelled.items()}
    others = [{key: value} for key, values in spelled.items() for value in values]

    def wrong(parameters: Mapping[str, Any], *, final: bool = False) -> str:
        try:
            recipe.change(base, space.overrides(parameters, final=final))
        except recipe.RecipeError as error:
            return str(error).removeprefix("--set: ")
        return ""

    for key, values in spelled.items():
        for value, example in zip(values, examples[key], strict=True):
            # A momentum that Adam has no use for is none the worse beside SGD.
            said = wrong({**first, key: value})
            if not said or not all(wrong({**first, **other, key: value}) for other in others):
                continue
            ends = space.space[key]
            between = isinstance(ends, Range) and example not in (ends.low, ends.high)
            hint = " Where it takes whole numbers, write both ends as whole numbers: 32, not 32.0." if between else ""
            raise SpaceError(f"{path}: [space] {key} = {value}: {said}{hint}")
    if said := wrong(first, final=True):
        raise SpaceError(f"{path}: final: {said}")


def _searched(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping) and value and not value.keys() & _RANGE:
            yield from _searched(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _sentence(error: Mapping[str, Any]) -> str:
    """What pydantic found, in the words of whoever wrote the file."""
    where, said = [str(part) for part in error["loc"]], error["msg"].removeprefix("Value error, ")
    if where[:1] != ["space"] or len(where) < 2:
        return f"{'.'.join(where) or 'the file'}: {said}"
    if error["type"] == "model_type":  # neither a list nor a table
        said = f"give a list of values, or {{ low = …, high = … }}, not {error['input']!r}"
    return f"[space] {'.'.join([where[1], *where[3:]])}: {said}"


def _spelled(key: str, value: Any) -> str:
    """A value as JSON and TOML both spell it. Raises `ValueError` for what no setting is."""
    try:
        return json.dumps(value, allow_nan=False)
    except TypeError:
        raise ValueError(f"{key}: no setting is a date or a time; put quotes around a text") from None
    except ValueError:
        raise ValueError(f"{key}: inf and nan are no values of a setting") from None


def _distribution(values: list[Any] | Range) -> BaseDistribution:
    if isinstance(values, list):
        return CategoricalDistribution([json.dumps(value) for value in values])
    if values.whole:
        return IntDistribution(int(values.low), int(values.high), log=values.log)
    return FloatDistribution(values.low, values.high, log=values.log)
