"""What a search looks for: a `SPACE.toml`, read and checked."""

import itertools
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from foodscene.models.errors import FoodsceneError

_LARGEST_GRID = 10_000


class SpaceError(FoodsceneError, ValueError):
    """A `SPACE.toml` that cannot be searched. Its text says what to change."""


class Range(BaseModel):
    """Values between two numbers; whole ones where both are whole. `log` draws their logarithms evenly."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: int | float
    high: int | float
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError("low must be below high, and above 0 where log = true")
        return self


Values = Annotated[list[Any], Field(min_length=1)] | Range


class Space(BaseModel):
    """A `SPACE.toml`: which recipe, what is varied, how it is searched.

    `settings` holds for all trials; `space` gives a list of values or a range for each dotted key of the recipe.
    `final` is set, over all that, when the best is trained for longer. The figure to maximize is the top-1 on
    validation photos: the test photos are for the final figure alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: str
    search: Literal["grid", "random", "tpe"] = "tpe"
    trials: PositiveInt = 20
    seed: int = 0
    prune: bool = True
    """Whether TPE ends trials that are behind the median of the others at the same epoch."""
    settings: dict[str, Any] = {}
    space: dict[str, Values] = Field(min_length=1)
    final: dict[str, Any] = {}

    @model_validator(mode="after")
    def _grid_has_lists(self) -> "Space":
        if self.search == "grid" and (ranges := [key for key, one in self.space.items() if isinstance(one, Range)]):
            raise ValueError(f"a grid takes a list of values for every key, but {', '.join(ranges)} has a range")
        return self

    def combinations(self) -> Iterator[dict[str, Any]]:
        """The Cartesian product of all lists, in Optuna's spelling."""
        lists = [[json.dumps(value) for value in one] for one in self.space.values() if isinstance(one, list)]
        for values in itertools.product(*lists):
            yield dict(zip(self.space, values, strict=True))

    def distributions(self) -> dict[str, BaseDistribution]:
        """What Optuna draws from; listed values as JSON, which is also how TOML spells them."""
        return {key: _distribution(values) for key, values in self.space.items()}

    def overrides(self, parameters: dict[str, Any], *, final: bool = False) -> list[str]:
        """A trial's settings as `--set` takes them."""
        drawn = {key: value if isinstance(value, str) else json.dumps(value) for key, value in parameters.items()}
        fixed = {key: json.dumps(value) for key, value in _flat(self.settings).items()}
        longer = {key: json.dumps(value) for key, value in _flat(self.final).items()} if final else {}
        return [f"{key}={value}" for key, value in {**fixed, **drawn, **longer}.items()]


def read_space(path: Path) -> Space:
    """Read a `SPACE.toml` and check it, with the recipe that it names. Raises `SpaceError` and `RecipeError`."""
    from foodscene.training.recipes import recipe

    try:
        space = Space.model_validate(tomllib.loads(path.read_text(encoding="utf-8-sig")))
    except OSError as error:
        raise SpaceError(f"{path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpaceError(f"{path}: not valid TOML: {error}") from None
    except ValidationError as error:
        lines = [f"{path}: {'.'.join(map(str, one['loc'])) or 'the file'}: {one['msg']}" for one in error.errors()]
        raise SpaceError("\n".join(lines)) from None
    size = 1
    for values in space.space.values():
        size *= len(values) if isinstance(values, list) else 1
    if space.search == "grid" and size > _LARGEST_GRID:
        raise SpaceError(f'{path}: the grid has {size:,} combinations; take search = "tpe" or fewer values.')
    first = {key: json.dumps(one[0] if isinstance(one, list) else one.low) for key, one in space.space.items()}
    recipe.load(space.recipe, space.overrides(first))
    return space


def _distribution(values: list[Any] | Range) -> BaseDistribution:
    if isinstance(values, list):
        return CategoricalDistribution([json.dumps(value) for value in values])
    if isinstance(values.low, int) and isinstance(values.high, int):
        return IntDistribution(values.low, values.high, log=values.log)
    return FloatDistribution(values.low, values.high, log=values.log)


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
