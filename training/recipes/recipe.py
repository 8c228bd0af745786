"""The recipe: one small TOML file that says everything about an experiment, checked before anything runs."""

import difflib
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, NonNegativeInt, ValidationError, ValidationInfo, field_validator, model_validator

from foodscene.models.errors import FoodsceneError
from foodscene.training.recipes import errors
from foodscene.training.recipes.augmentation import Augmentation
from foodscene.training.recipes.sections import (
    Convolutional,
    DataSettings,
    Dense,
    EarlyStopping,
    Finetune,
    Input,
    Optimizer,
    Reported,
    Schedule,
    Section,
    Teaching,
    Training,
    Transfer,
)

SHIPPED = Path(__file__).resolve().parent
"""The folder of the recipes that come with foodscene, grouped by report."""

# What a recipe does not take over from the one that it extends: these belong to one experiment alone.
_OWN = ("about", "bundle", "caution", "extends", "reported", "title")


class RecipeError(FoodsceneError, ValueError):
    """A recipe that cannot be used. Its text names the file, the key and the values allowed."""


class Recipe(Section):
    """A whole recipe. `name` is its place below the folder of recipes: `food/basic`."""

    name: str
    title: str
    """One line for people: what the experiment is."""
    about: str = ""
    """What the model's card says of it."""
    caution: str = ""
    """What the model must not be used for, for its card."""
    domain: str
    """What kind of photos the labels are of: "scenes", "food dishes"."""
    bundle: str = ""
    """The name of the bundle; else the recipe's own, with "-" for "/"."""
    license: str = ""
    """The terms of the photos, for the model's card."""
    seed: NonNegativeInt = 0
    """Of everything that is drawn: the split, the first weights, the batches, the alterations."""
    input: Input
    data: DataSettings = DataSettings()
    model: Annotated[Dense | Convolutional | Transfer, Field(discriminator="kind")]
    augmentation: Augmentation = Augmentation()
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    training: Training
    early_stopping: EarlyStopping | None = None
    finetune: Finetune | None = None
    teacher: Teaching | None = None
    reported: Reported | None = None

    @field_validator("augmentation")
    @classmethod
    def _fit_the_input(cls, augmentation: Augmentation, info: ValidationInfo) -> Augmentation:
        if "input" in info.data:
            augmentation.check(info.data["input"].spec)
        return augmentation

    @model_validator(mode="after")
    def _scale_once(self) -> "Recipe":
        """Refuse pixels that are scaled twice: a network then sees next to nothing of them."""
        scales, standardizes = self.input.scale != "none", self.augmentation.standardizes
        if scales and standardizes:
            raise ValueError(
                f'input.scale = "{self.input.scale}" and the standardization in [augmentation] would scale pixels '
                "twice: leave one of them out"
            )
        if self.augmentation.rescale not in (None, 1) and (
            self.augmentation.featurewise_center or self.augmentation.zca_whitening
        ):
            raise ValueError(
                "rescale and featurewise_* or zca_* would scale pixels twice, as their statistics are those of raw "
                "photos: leave rescale out"
            )
        if isinstance(self.model, Transfer) and self.model.scaling == "own" and (scales or standardizes):
            raise ValueError(
                f"{self.model.backbone} scales pixels 0-255 by itself, and the recipe would scale them before it: "
                "leave input.scale, rescale, featurewise_*, samplewise_* and zca_* out, or say "
                'model.scaling = "recipe" where they are to take its place'
            )
        return self

    @property
    def epochs(self) -> int:
        """Of the whole run, fine-tuning included."""
        return self.training.epochs + (self.finetune.epochs if self.finetune else 0)

    def record(self) -> dict[str, Any]:
        """The recipe as JSON has it, for `run.json` and cards; `parse` reads it again."""
        # Lists where pydantic would have tuples are no fault: TOML knows only lists.
        return self.model_dump(mode="json", exclude_none=True, warnings=False)


def load(name: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a shipped recipe by name (`food/basic`) or one's own by path, and check it.

    `overrides` are `key.key=value` with the value as TOML has it (quotes around a text may be left out).
    Raises `RecipeError`.
    """
    path = find(name)
    return _checked({**_read(path, ()), "name": _name(path)}, overrides, path)


def change(recipe: Recipe, overrides: Sequence[str]) -> Recipe:
    """A recipe with other values, given as for `load`. Raises `RecipeError`."""
    return _checked(recipe.record(), overrides, Path("run.json"))


def parse(table: dict[str, Any]) -> Recipe:
    """The recipe that a run keeps in its `run.json`. Raises `RecipeError` where it was written by another version."""
    # Records of runs that began before classes of few photos were divided at exact shares.
    table = {**table, "data": {"stratified": False, **table.get("data", {})}}
    try:
        return Recipe.model_validate(table)
    except ValidationError as error:
        raise RecipeError("\n".join(errors.sentences(error, Recipe, Path("run.json"), set()))) from None


def shipped() -> Iterator[str]:
    """The names of the recipes that come with foodscene."""
    for path in sorted(SHIPPED.rglob("*.toml")):
        yield _name(path)


def find(name: str | Path, beside: Path | None = None) -> Path:
    """The file of a recipe: a path that exists, or a shipped name. Raises `RecipeError` with the nearest names."""
    for path in (Path(name), *([beside / name] if beside else []), SHIPPED / f"{name}.toml"):
        if path.suffix == ".toml" and path.is_file():
            return path
    near = difflib.get_close_matches(str(name), list(shipped()), n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    raise RecipeError(
        f"There is no recipe {str(name)!r}.{hint} `foodscene train --list` shows them all; a file ends in .toml."
    )


def _checked(table: dict[str, Any], overrides: Sequence[str], path: Path) -> Recipe:
    """The recipe of a table in which some values are replaced."""
    overridden = set()
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key.strip():
            raise RecipeError(f"--set {override}: write it as key.key=value, for example --set training.epochs=20")
        overridden.add(key.strip())
        _set(table, key.strip().split("."), _value(text.strip()), override)
    try:
        return Recipe.model_validate(table)
    except ValidationError as error:
        raise RecipeError("\n".join(errors.sentences(error, Recipe, path, overridden))) from None


def _name(path: Path) -> str:
    path = path.resolve()
    return path.relative_to(SHIPPED).with_suffix("").as_posix() if path.is_relative_to(SHIPPED) else path.stem


def _read(path: Path, heirs: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in heirs:
        raise RecipeError(f"{path}: extends: the recipe extends itself.")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not valid TOML: {error}") from None
    if "extends" not in table:
        return table
    parent = table.pop("extends")
    if not isinstance(parent, str):
        raise RecipeError(f'{path}: extends: expected the name of a recipe, like "food/basic".')
    base = _read(find(parent, path.parent), (*heirs, path.resolve()))
    return _merge({key: value for key, value in base.items() if key not in _OWN}, table)


def _merge(base: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """`new` over `base`, table by table; a table of another `kind` takes nothing over."""
    merged = dict(base)
    for key, value in new.items():
        old = merged.get(key)
        same = (
            isinstance(old, dict) and isinstance(value, dict) and value.get("kind", old.get("kind")) == old.get("kind")
        )
        merged[key] = _merge(old, value) if same else value  # type: ignore[arg-type]
    return merged


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _set(table: dict[str, Any], keys: list[str], value: Any, override: str) -> None:
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise RecipeError(f"--set {override}: {key} is a value, not a section.")
    table[keys[-1]] = value
