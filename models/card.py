"""The card of a bundle: what a model is called, what it takes, what it was trained on and how well it does."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from foodscene.models.outputs import OutputKind
from foodscene.models.pixels import Fit, InputSpec

SCHEMA_VERSION: Literal[2] = 2
"""Of what is written. Version 1 called `out_of_distribution` `strangers`, with `photos` and `unsure` alone."""
Words = Annotated[str, Field(max_length=1_000)]
"""What stands in lists and headings of every page."""
Paragraphs = Annotated[str, Field(max_length=100_000)]
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
"""What a bundle can be called."""
Weight = Annotated[float, Field(ge=-1e6, le=1e6)]


class _Part(BaseModel):
    # A card written by a later version may say more; what is said here must be right.
    model_config = ConfigDict(extra="ignore", frozen=True)


class CardInput(_Part):
    """What the network takes, and how a photo is fitted to it. What is absent is as the model itself says.

    Raw pixel values 0-255 reach the network as ``(rescale · pixel + offset - mean) / std``, by channel in
    `channel_order`: 1, 0, 0 and 1 for a model of our own, whose first layers do that. 1/255 gives 0 to 1, 1/127.5 with
    an offset of -1 gives -1 to 1; 1/255 with ImageNet's mean and std is what PyTorch's networks take, "bgr" with a mean
    of 103.939, 116.779, 123.68 what those of Caffe do.
    """

    height: int | None = Field(default=None, gt=0, le=4096)
    width: int | None = Field(default=None, gt=0, le=4096)
    channels: Literal[1, 3] = 3
    fit: Fit = "squash"
    rescale: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    offset: float = Field(default=0.0, allow_inf_nan=False)
    mean: tuple[FiniteFloat, ...] | None = None
    std: tuple[Annotated[FiniteFloat, Field(gt=0)], ...] | None = None
    channel_order: Literal["rgb", "bgr"] = "rgb"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and len(values) not in (1, self.channels):
                raise ValueError(f"{name} has {len(values)} values; there are {self.channels} channels")
        return self

    @property
    def spec(self) -> InputSpec:
        """Raises `ValueError` where height or width are left to the model."""
        if self.height is None or self.width is None:
            raise ValueError("input.height and input.width are missing")
        return InputSpec(self.height, self.width, self.channels, self.fit)


class CardDataset(_Part):
    """The photos that the model was trained and measured on; `counts` is photos per split."""

    name: str
    fingerprint: str
    counts: dict[str, int] = {}


class CardMetrics(_Part):
    """Figures on the test split: shares from 0 to 1 over `images` photos that training never saw.

    Intervals are 95 % intervals, (low, high). `sure` is the share of answers that are called sure, `sure_top1` the
    share of these that is right, `known` the share of photos that are called known. `set_coverage` is the share of sets
    of labels that hold the right one, `set_size` how many labels they have on average. Where `folds` stands, the photos
    are all there were, and each was answered by one of so many networks that was trained without it (cross-validation).
    """

    images: int = Field(gt=0)
    folds: int | None = Field(default=None, gt=1)
    top1: float = Field(ge=0, le=1)
    top1_interval: tuple[float, float] | None = None
    top5: float | None = Field(default=None, ge=0, le=1)
    top5_interval: tuple[float, float] | None = None
    calibration_error: float | None = Field(default=None, ge=0, le=1)
    sure: float | None = Field(default=None, ge=0, le=1)
    sure_top1: float | None = Field(default=None, ge=0, le=1)
    known: float | None = Field(default=None, ge=0, le=1)
    set_coverage: float | None = Field(default=None, ge=0, le=1)
    set_size: float | None = Field(default=None, ge=0)

    @property
    def photos(self) -> str:
        """Which photos were measured on, in words."""
        how = f"photos, in {self.folds} turns" if self.folds else "test photos"
        return f"{self.images:,} {how}"


class CardConformal(_Part):
    """Sets of labels: those whose probability is at least 1 - `quantile` hold the right one in `coverage` of photos.

    Fitted on so many validation `photos`; where data sets were joined, the largest of their quantiles.
    """

    coverage: float = Field(gt=0, lt=1)
    quantile: float = Field(ge=0, le=1)
    photos: int = Field(gt=0)


class CardFallbackRule(_Part):
    """A logistic rule on three shares from 0 to 1: a photo is known where ``intercept + weights · shares >= 0``.

    `probability` is the weight of the first label's probability, `familiarity` that of the photo's familiarity, both by
    the bundle itself; `foreign` that of the probability which its fallback gives to its `foreign` labels together.
    """

    intercept: Weight
    probability: Weight
    familiarity: Weight
    foreign: Weight


class CardFallback(_Part):
    """Another bundle beside this one, by name: it is asked about photos of which this one is not sure.

    `rule` then says which of them are known, and the fallback what the others show.
    """

    bundle: str = Field(pattern=NAME)
    rule: CardFallbackRule


class CardOutOfDistribution(_Part):
    """Photos of nothing that the model knows, and how it tells them from the test photos.

    `unsure` and `known` are the shares for which its answer is not called sure, and that it calls known. `auroc` is the
    probability that one of them scores below a test photo; `false_alarms` the share of them that scores as high as 95
    of 100 test photos. Both by familiarity where the bundle has it, and by the first probability. `known` is as the
    service says it, with the fallback where the card names one.
    """

    photos: int = Field(gt=0)
    unsure: float = Field(ge=0, le=1)
    known: float | None = Field(default=None, ge=0, le=1)
    auroc: float | None = Field(default=None, ge=0, le=1)
    false_alarms: float | None = Field(default=None, ge=0, le=1)
    auroc_probability: float | None = Field(default=None, ge=0, le=1)
    false_alarms_probability: float | None = Field(default=None, ge=0, le=1)


class Card(_Part):
    """`card.json`. Every key has a default, so that a folder with just a model and its labels has a card too.

    `sure_above` is the probability of the first label from which on the answer counts as sure, chosen on so many
    `validation_photos`; from 1 on, nothing is sure. `caution` says what the model must not be used for. `output` says
    what the network's answers are, where its last layer does not; `temperature` divides the logits of a network that
    has no layer for that. `parts` are the figures of each data set where the model was measured on several. `foreign`
    are the labels of what is nothing to a bundle that names this one as its `fallback`.
    """

    schema_version: Literal[1, 2] = SCHEMA_VERSION
    name: str = ""
    title: Words = ""
    domain: Words = ""
    description: Paragraphs = ""
    caution: Paragraphs = ""
    input: CardInput | None = None
    output: OutputKind | None = None
    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    sure_above: float = Field(default=0.5, ge=0, le=1)
    validation_photos: int | None = Field(default=None, gt=0)
    recipe: dict[str, Any] = {}
    dataset: CardDataset | None = None
    metrics: CardMetrics | None = None
    parts: dict[str, CardMetrics] = {}
    per_class: dict[str, dict[str, float]] = {}
    conformal: CardConformal | None = None
    foreign: list[Words] = []
    fallback: CardFallback | None = None
    out_of_distribution: dict[str, CardOutOfDistribution] = Field(
        default={}, validation_alias=AliasChoices("out_of_distribution", "strangers")
    )
    license: Paragraphs = ""
    created: datetime | None = None
    versions: dict[str, str] = {}
    sha256: str | None = None

    def as_json(self) -> str:
        """What `card.json` holds, in today's version."""
        today = self.model_copy(update={"schema_version": SCHEMA_VERSION})
        return today.model_dump_json(indent=2, exclude_none=True) + "\n"


def first_mistake(error: ValidationError) -> str:
    """What is wrong first, and where."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"
