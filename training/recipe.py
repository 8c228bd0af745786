"""The recipe: one small TOML file that says everything about an experiment, checked before anything runs."""

import difflib
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from models.pixels import Fit, InputSpec
from training.augmentation import Augmentation

SHIPPED = Path(__file__).parent / "recipes"
"""The folder of the recipes that come with foodscene, grouped by report."""

Share = Annotated[float, Field(ge=0, lt=1)]
# What a recipe does not take over from the one that it extends: these belong to one experiment alone.
_OWN = ("about", "bundle", "extends", "reported", "title")


class RecipeError(ValueError):
    """A recipe that cannot be used. Its text names the file, the key and the values allowed."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Input(_Section):
    """`[input]`: what the network takes. `scale` is what its first layer does to pixel values 0-255: nothing, bring
    them to 0..1 ("unit"), or subtract ImageNet's mean and divide by its standard deviation.
    """

    size: PositiveInt | tuple[PositiveInt, PositiveInt]
    channels: Literal[1, 3] = 3
    fit: Fit = "squash"
    scale: Literal["none", "unit", "imagenet"] = "none"

    @property
    def spec(self) -> InputSpec:
        height, width = (self.size, self.size) if isinstance(self.size, int) else self.size
        return InputSpec(height, width, self.channels, self.fit)


class DataSettings(_Section):
    """`[data]`: how a data set is read: its layout (found out where absent), and the parts of train, validation and
    test where it has no split of its own.
    """

    layout: str | None = None
    crop_boxes: bool = False
    fractions: tuple[float, float, float] = (0.7, 0.2, 0.1)


class _Network(_Section):
    initializer: Literal["glorot_uniform", "he_normal", "he_uniform", "uniform"] = "glorot_uniform"
    """Of every kernel; "uniform" draws from [-0.5, 0.5]."""
    dense: tuple[PositiveInt, ...] = ()
    dense_activation: Literal["relu", "tanh"] | tuple[Literal["relu", "tanh"], ...] = "relu"
    """Of all dense layers, or of each."""
    dense_dropout: Share = 0.0
    output_activation: Literal["softmax", "tanh"] = "softmax"
    output_batch_norm: bool = False

    @model_validator(mode="after")
    def _activation_for_each(self) -> Self:
        if not isinstance(self.dense_activation, str) and len(self.dense_activation) != len(self.dense):
            raise ValueError(f"dense_activation names {len(self.dense_activation)} for {len(self.dense)} dense layers")
        return self


class Dense(_Network):
    """`[model]` with `kind = "dense"`: flatten, dense layers, output. Dropout follows each dense layer."""

    kind: Literal["dense"]


class Convolutional(_Network):
    """`[model]` with `kind = "convolutional"`: convolutions, pooling, dense layers, output.

    `filters` has an entry per block: a number is one convolution, a list several; pooling ends each block.
    Each convolution is followed by batch norm (if on), its activation, pooling (the last of a block) and dropout.
    """

    kind: Literal["convolutional"]
    filters: tuple[PositiveInt | tuple[PositiveInt, ...], ...] = Field(min_length=1)
    kernel: PositiveInt = 3
    stride: PositiveInt = 1
    stem_stride: PositiveInt = 1
    """Stride of the first convolution alone."""
    padding: Literal["same", "valid"] = "same"
    activation: Literal["relu", "tanh", "swish"] = "relu"
    pooling: Literal["max", "average", "none"] = "max"
    dropout: Share = 0.0
    batch_norm: bool = False
    residual: bool = False
    """Add what enters a block of several convolutions to what leaves it."""
    head: Literal["average", "flatten"] = "average"
    head_dropout: Share = 0.0
    l1: NonNegativeFloat = 0.0
    l2: NonNegativeFloat = 0.0


class Transfer(_Network):
    """`[model]` with `kind = "transfer"`: a backbone of `keras.applications`, global average pooling, dense layers.

    `weights` is "imagenet", "none", or the path of a file in the layout in which keras.applications publishes them.
    """

    kind: Literal["transfer"]
    backbone: str
    weights: str = "imagenet"
    head_dropout: Share = 0.0


class Optimizer(_Section):
    """`[optimizer]`. `average` keeps an exponential moving average of the weights (0.999, say), which is what is
    validated and saved.
    """

    name: Literal["sgd", "rmsprop", "adam", "adamw"] = "adam"
    learning_rate: PositiveFloat = 0.001
    momentum: Share = 0.0
    nesterov: bool = False
    weight_decay: NonNegativeFloat = 0.0
    clip_norm: PositiveFloat | None = None
    average: Share = 0.0


class Schedule(_Section):
    """`[schedule]` of the learning rate: constant; halved every `every` epochs after epoch `after`; or a cosine down to
    `floor` times its height, after `warmup` epochs of linear rise.
    """

    kind: Literal["constant", "halving", "cosine"] = "constant"
    every: PositiveInt = 5
    after: NonNegativeInt = 0
    warmup: NonNegativeFloat = 0.0
    floor: Share = 0.0


class EarlyStopping(_Section):
    """`[early_stopping]`: end once `patience` epochs have not brought the validation loss down by `min_delta`, which is
    a share of the best loss so far (0.005: half a percent).
    """

    patience: PositiveInt
    min_delta: Share = 0.0


class Training(_Section):
    """`[training]`: how long, in which portions, towards what."""

    epochs: PositiveInt
    batch_size: PositiveInt = 32
    loss: Literal["cross-entropy", "mean-squared-error"] = "cross-entropy"
    label_smoothing: Share = 0.0
    mixup: NonNegativeFloat = 0.0
    """The alpha of mixup: 0 mixes nothing, 0.2 a little, 1 a lot."""
    class_weights: Literal["none", "balanced"] = "none"
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    accumulate: PositiveInt = 1
    """Batches whose gradients are averaged before the weights take a step."""


class Finetune(_Section):
    """`[finetune]`: after the head, train the backbone too: "all" of it, its last n layers with weights, or everything
    from the first layer whose name begins so ("block5"). Batch norm stays in inference mode.
    """

    epochs: PositiveInt
    unfreeze: Literal["all"] | PositiveInt | str = "all"
    optimizer: Optimizer = Optimizer(name="adamw", learning_rate=1e-4)
    schedule: Schedule = Schedule()


class Reported(_Section):
    """`[reported]`: the row of the report that a recipe repeats, and its figures; shares from 0 to 1."""

    row: str
    top1: float | None = None
    top5: float | None = None
    loss: float | None = None
    parameters: int | None = None
    minutes: float | None = None
    data: str = ""
    note: str = ""


class Recipe(_Section):
    """A whole recipe. `name` is its place below the folder of recipes: `food/basic`."""

    name: str
    title: str
    about: str = ""
    domain: str
    bundle: str = ""
    """The name of the bundle; else the recipe's own, with "-" for "/"."""
    license: str = ""
    seed: NonNegativeInt = 0
    input: Input
    data: DataSettings = DataSettings()
    model: Annotated[Dense | Convolutional | Transfer, Field(discriminator="kind")]
    augmentation: Augmentation = Augmentation()
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    training: Training
    early_stopping: EarlyStopping | None = None
    finetune: Finetune | None = None
    reported: Reported | None = None

    @field_validator("augmentation")
    @classmethod
    def _fit_the_input(cls, augmentation: Augmentation, info: ValidationInfo) -> Augmentation:
        if "input" in info.data:
            augmentation.check(info.data["input"].spec)
        return augmentation

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
    table = _read(path, ())
    overridden = set()
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key.strip():
            raise RecipeError(f"--set {override}: write it as key.key=value, for example --set training.epochs=20")
        overridden.add(key.strip())
        _set(table, key.strip().split("."), _value(text.strip()), override)
    table["name"] = _name(path)
    try:
        return Recipe.model_validate(table)
    except ValidationError as error:
        raise RecipeError("\n".join(_explain(error, path, overridden))) from None


def parse(table: dict[str, Any]) -> Recipe:
    """The recipe that a run keeps in its `run.json`. Raises `RecipeError` where it was written by another version."""
    try:
        return Recipe.model_validate(table)
    except ValidationError as error:
        raise RecipeError("\n".join(_explain(error, Path("run.json"), set()))) from None


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


def _name(path: Path) -> str:
    path = path.resolve()
    return path.relative_to(SHIPPED).with_suffix("").as_posix() if path.is_relative_to(SHIPPED) else path.stem


def _read(path: Path, heirs: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in heirs:
        raise RecipeError(f"{path}: extends: the recipe extends itself.")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
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


def _explain(error: ValidationError, path: Path, overridden: set[str]) -> Iterator[str]:
    """A line per mistake: file, key, what is wrong and what is allowed."""
    for mistake in error.errors():
        keys = list(_dotted(mistake["loc"]))
        where = "--set" if ".".join(keys) in overridden else str(path)
        said = mistake["msg"].removeprefix("Value error, ")
        if mistake["type"] == "extra_forbidden":
            allowed = sorted(_keys(mistake["loc"][:-1]))
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


def _keys(location: tuple[int | str, ...]) -> set[str]:
    """The keys that the section at a location of pydantic's may have."""
    sections: dict[str, type[BaseModel]] = {"dense": Dense, "convolutional": Convolutional, "transfer": Transfer}
    section: type[BaseModel] = Recipe
    for index, part in enumerate(location):
        member = location[:1] == ("model",) and index == 1
        annotation = sections[str(part)] if member else section.model_fields[str(part)].annotation
        for candidate in (annotation, *getattr(annotation, "__args__", ())):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                section = candidate
                break
    return {key for key in section.model_fields if not (section is Recipe and key == "name")} | (
        {"extends"} if section is Recipe else set()
    )
