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
_OWN = ("about", "bundle", "caution", "extends", "reported", "title")


class RecipeError(ValueError):
    """A recipe that cannot be used. Its text names the file, the key and the values allowed."""


class _Section(BaseModel):
    # The text below a key is what the documentation says of it.
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Input(_Section):
    """`[input]`: what the network takes."""

    size: PositiveInt | tuple[PositiveInt, PositiveInt]
    """Pixels: the side of a square, or [height, width]."""
    channels: Literal[1, 3] = 3
    """3 for colours, 1 for gray."""
    fit: Fit = "squash"
    """How a photo takes that shape: stretched to it, cut to it around the centre, or whole with black borders."""
    scale: Literal["none", "unit", "imagenet"] = "none"
    """What the first layer does to pixel values 0-255: nothing, bring them to 0..1, or subtract ImageNet's mean and
    divide by its standard deviation."""

    @property
    def spec(self) -> InputSpec:
        height, width = (self.size, self.size) if isinstance(self.size, int) else self.size
        return InputSpec(height, width, self.channels, self.fit)


class DataSettings(_Section):
    """`[data]`: how a data set is read."""

    layout: str | None = None
    """The archive's layout; found by looking at its names where absent."""
    crop_boxes: bool = False
    """Make a photo of each box that the archive draws on one (UECFOOD)."""
    fractions: tuple[float, float, float] = (0.7, 0.2, 0.1)
    """Shares of train, validation and test, where the data set has no split of its own."""


class _Network(_Section):
    initializer: Literal["glorot_uniform", "he_normal", "he_uniform", "uniform"] = "glorot_uniform"
    """Of every kernel; "uniform" draws from [-0.5, 0.5]."""
    dense: tuple[PositiveInt, ...] = ()
    """Units of each dense layer before the output."""
    dense_activation: Literal["relu", "tanh"] | tuple[Literal["relu", "tanh"], ...] = "relu"
    """Of all dense layers, or of each."""
    dense_dropout: Share = 0.0
    """Share of values dropped after each dense layer."""
    output_activation: Literal["softmax", "tanh"] = "softmax"
    """What is trained through; the saved model always ends in a softmax."""
    output_batch_norm: bool = False
    """Batch norm between the output's kernel and its activation."""

    @model_validator(mode="after")
    def _activation_for_each(self) -> Self:
        if not isinstance(self.dense_activation, str) and len(self.dense_activation) != len(self.dense):
            raise ValueError(f"dense_activation names {len(self.dense_activation)} for {len(self.dense)} dense layers")
        return self


class Dense(_Network):
    """`[model]` with `kind = "dense"`: flatten, dense layers, output."""

    kind: Literal["dense"]
    """Which network this is."""


class Convolutional(_Network):
    """`[model]` with `kind = "convolutional"`: convolutions, pooling, dense layers, output.

    Each convolution is followed by batch norm (if on), its activation, pooling (the last of a block) and dropout.
    """

    kind: Literal["convolutional"]
    """Which network this is."""
    filters: tuple[PositiveInt | tuple[PositiveInt, ...], ...] = Field(min_length=1)
    """An entry per block: a number is one convolution of so many filters, a list several; pooling ends each block."""
    kernel: PositiveInt = 3
    """Pixels: the side of every convolution's kernel."""
    stride: PositiveInt = 1
    """Pixels from one place of a kernel to the next."""
    stem_stride: PositiveInt = 1
    """Stride of the first convolution alone."""
    padding: Literal["same", "valid"] = "same"
    """Whether convolutions keep the picture's size or lose its border."""
    activation: Literal["relu", "tanh", "swish"] = "relu"
    """Of every convolution."""
    pooling: Literal["max", "average", "none"] = "max"
    """What halves the picture at the end of each block."""
    dropout: Share = 0.0
    """Share of values dropped after each convolution."""
    batch_norm: bool = False
    """Batch norm after each convolution."""
    residual: bool = False
    """Add what enters a block of several convolutions to what leaves it."""
    head: Literal["average", "flatten"] = "average"
    """How the last block's picture becomes a row of values: its mean over all places, or all of it."""
    head_dropout: Share = 0.0
    """Share of values dropped before the dense layers."""
    l1: NonNegativeFloat = 0.0
    """Weight of the sum of all kernels' absolute values in the loss."""
    l2: NonNegativeFloat = 0.0
    """Weight of the sum of all kernels' squares in the loss."""


class Transfer(_Network):
    """`[model]` with `kind = "transfer"`: a backbone of `keras.applications`, global average pooling, dense layers."""

    kind: Literal["transfer"]
    """Which network this is."""
    backbone: str
    """A name of `keras.applications`: VGG16, MobileNetV2, EfficientNetB0 …"""
    weights: str = "imagenet"
    """"imagenet", "none", or the path of a file in the layout in which keras.applications publishes them."""
    head_dropout: Share = 0.0
    """Share of values dropped before the dense layers."""


class Optimizer(_Section):
    """`[optimizer]`: how the weights are changed."""

    name: Literal["sgd", "rmsprop", "adam", "adamw"] = "adam"
    """Keras' optimizer of that name."""
    learning_rate: PositiveFloat = 0.001
    """The schedule's height."""
    momentum: Share = 0.0
    """Of SGD and RMSprop."""
    nesterov: bool = False
    """Of SGD: look ahead along the momentum."""
    weight_decay: NonNegativeFloat = 0.0
    """Share of each weight taken off a step, times the learning rate."""
    clip_norm: PositiveFloat | None = None
    """The largest norm that the whole gradient keeps; not clipped where absent."""
    average: Share = 0.0
    """Keep an exponential moving average of the weights by this factor (0.999, say), which is what is validated and
    saved."""


class Schedule(_Section):
    """`[schedule]` of the learning rate."""

    kind: Literal["constant", "halving", "cosine"] = "constant"
    """Constant; halved every `every` epochs after epoch `after`; or a cosine down to `floor`, after `warmup`."""
    every: PositiveInt = 5
    """Epochs between halvings."""
    after: NonNegativeInt = 0
    """The epoch after which halving begins."""
    warmup: NonNegativeFloat = 0.0
    """Epochs of linear rise before the cosine."""
    floor: Share = 0.0
    """Where the cosine ends, as a share of its height."""


class EarlyStopping(_Section):
    """`[early_stopping]`: end once the validation loss falls no more. Without this section, all epochs are trained."""

    patience: PositiveInt
    """Epochs in a row that may bring the validation loss down by less than `min_delta`."""
    min_delta: Share = 0.0
    """A share of the best loss so far (0.005: half a percent)."""


class Training(_Section):
    """`[training]`: how long, in which portions, towards what."""

    epochs: PositiveInt
    """Passes over the training photos, at most."""
    batch_size: PositiveInt = 32
    """Photos per step."""
    loss: Literal["cross-entropy", "mean-squared-error"] = "cross-entropy"
    """What is brought down."""
    label_smoothing: Share = 0.0
    """Share of the right label's target that is spread over all labels."""
    mixup: NonNegativeFloat = 0.0
    """The alpha of mixup: 0 mixes nothing, 0.2 a little, 1 a lot."""
    outliers: NonNegativeFloat = 0.0
    """Pictures of nothing, drawn beside each batch's photos, as a share of them: the network learns to be unsure."""
    class_weights: Literal["none", "balanced"] = "none"
    """"balanced": photos of rare classes count more, so that all classes count the same."""
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    """What the network computes in; on a recent GPU, mixed_bfloat16 is faster and takes less memory."""
    accumulate: PositiveInt = 1
    """Batches whose gradients are averaged before the weights take a step."""
    keep: Literal["best", "last"] = "best"
    """The weights that are saved: those of the epoch with the lowest validation loss, or of the last epoch."""
    compact: bool = False
    """Save the network at half its size: batch norm folded into the convolutions, kernels rounded to half precision."""


class Finetune(_Section):
    """`[finetune]`: after the head, train the backbone too. Batch norm stays in inference mode."""

    epochs: PositiveInt
    """Passes over the training photos, after those of `[training]`."""
    unfreeze: Literal["all"] | PositiveInt | str = "all"
    """"all" of the backbone, its last n layers with weights, or everything from the first layer whose name begins so
    ("block5")."""
    optimizer: Optimizer = Optimizer(name="adamw", learning_rate=1e-4)
    """As `[optimizer]`, for this phase."""
    schedule: Schedule = Schedule()
    """As `[schedule]`, for this phase."""


class Reported(_Section):
    """`[reported]`: the row of a report that a recipe repeats; its figures are printed beside the measured ones."""

    row: str
    """The report's letter and the row's number: "A7"."""
    top1: float | None = None
    """A share, 0 to 1."""
    top5: float | None = None
    """A share, 0 to 1."""
    loss: float | None = None
    """On the test photos."""
    parameters: int | None = None
    """Weights of the network."""
    minutes: float | None = None
    """What the training took."""
    data: str = ""
    """The photos that the report measured on, where not the test photos."""
    note: str = ""
    """Whatever else the report says of the row."""


class Recipe(_Section):
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
