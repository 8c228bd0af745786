"""The recipe's `[augmentation]` section: Keras' ImageDataGenerator's arguments, by its names and in its forms."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, model_validator

from foodscene.models.pixels import InputSpec

LARGEST_MODEL = 64_000_000
"""Bytes that the whitening layers of a saved model may take."""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")


def _is_pair(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_number, value)) and value[0] <= value[1]


def _shift(value: Any) -> int | float | tuple[float, ...]:
    if _is_number(value) and value >= 0:
        return value  # type: ignore[no-any-return]
    if isinstance(value, list | tuple) and value and all(_is_number(one) for one in value):
        return tuple(value)
    raise ValueError(
        "give a number of at least 0 (below 1: a share of the size, else pixels; an integer draws whole pixels) "
        "or a list of numbers to draw from"
    )


def _zoom(value: Any) -> float | tuple[float, float]:
    if _is_number(value) and value >= 0:
        return value  # type: ignore[no-any-return]
    if _is_pair(value):
        return value[0], value[1]
    raise ValueError("give a number z of at least 0, for factors from 1 - z to 1 + z, or the pair [lowest, highest]")


def _brightness(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    if _is_pair(value) and value[0] >= 0:
        return value[0], value[1]
    raise ValueError("give the pair [lowest, highest] of factors of at least 0; 1 leaves a photo as it is")


def _downscale(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    if _is_pair(value) and value[0] > 0 and value[1] <= 1:
        return value[0], value[1]
    raise ValueError("give the pair [lowest, highest] of shares of the size above 0 and up to 1, as [0.5, 1]")


def _quality(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    if _is_pair(value) and value[0] >= 1 and value[1] <= 100:
        return value[0], value[1]
    raise ValueError("give the pair [lowest, highest] of JPEG qualities from 1 to 100, as [60, 95]")


class Augmentation(BaseModel):
    """How training photos are altered, and how every photo is standardized.

    Everything but `probability`, `downscale_range`, `jpeg_quality_range` and `zca_rank` is an argument of
    ImageDataGenerator and means what it means there; lengths are in pixels, angles in degrees, intensities in grey
    levels 0-255. The alterations apply to training photos only. `rescale` and the standardization switches become
    layers of the model (`augmentation.standardization`).
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    probability: Annotated[float, Field(ge=0, le=1)] = 1.0
    """The chance that a photo is altered at all."""

    rotation_range: Annotated[float, Field(ge=0)] = 0.0
    """Degrees, either way."""
    width_shift_range: Annotated[int | float | tuple[float, ...], PlainValidator(_shift)] = 0.0
    """Below 1: a share of the size; a whole number: whole pixels; a list: one of these, either way."""
    height_shift_range: Annotated[int | float | tuple[float, ...], PlainValidator(_shift)] = 0.0
    """As `width_shift_range`, along the other side."""
    brightness_range: Annotated[tuple[float, float] | None, PlainValidator(_brightness)] = None
    """[lowest, highest] factor; 1 leaves a photo as it is."""
    shear_range: Annotated[float, Field(ge=0)] = 0.0
    """Degrees, either way."""
    zoom_range: Annotated[float | tuple[float, float], PlainValidator(_zoom)] = 0.0
    """z for factors from 1 - z to 1 + z, or [lowest, highest]."""
    channel_shift_range: Annotated[float, Field(ge=0)] = 0.0
    """Grey levels 0-255, added to all channels of a photo, either way."""
    fill_mode: Literal["nearest", "constant", "reflect", "wrap"] = "nearest"
    """What stands where the photo was moved away."""
    cval: Annotated[float, Field(ge=0, le=255)] = 0.0
    """The grey level of `fill_mode = "constant"`."""
    horizontal_flip: bool = False
    """Half of the photos, left to right."""
    vertical_flip: bool = False
    """Half of the photos, upside down."""
    downscale_range: Annotated[tuple[float, float] | None, PlainValidator(_downscale)] = None
    """[lowest, highest] share of the size that a photo is scaled down to, and up again, after all else: it gets as
    coarse as photos of other sources."""
    jpeg_quality_range: Annotated[tuple[float, float] | None, PlainValidator(_quality)] = None
    """[lowest, highest] quality, 1 to 100, that a photo is coded with as JPEG, at the size of `downscale_range`."""

    rescale: float | None = None
    """What pixel values are multiplied by, before everything else."""
    featurewise_center: bool = False
    """Subtract the training photos' mean."""
    featurewise_std_normalization: bool = False
    """Divide by the training photos' standard deviation."""
    samplewise_center: bool = False
    """Subtract each photo's own mean."""
    samplewise_std_normalization: bool = False
    """Divide by each photo's own standard deviation."""
    zca_whitening: bool = False
    """Whiten by the training photos' covariance."""
    zca_epsilon: Annotated[float, Field(ge=0)] = 1e-6
    """Added to the variances before whitening divides by their roots."""
    zca_rank: Annotated[int, Field(ge=1)] | None = None
    """How many directions of largest variance ZCA whitens; the others are dropped. All of them where absent."""

    @model_validator(mode="before")
    @classmethod
    def _turn_on_centering(cls, values: Any) -> Any:
        """What ImageDataGenerator turns on by itself, with a warning there."""
        if not isinstance(values, dict):
            return values
        implied = {
            "featurewise_center": values.get("featurewise_std_normalization") or values.get("zca_whitening"),
            "samplewise_center": values.get("samplewise_std_normalization"),
        }
        return {key: True for key, needed in implied.items() if needed is True} | values

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> "Augmentation":
        if self.featurewise_std_normalization and not self.featurewise_center:
            raise ValueError("featurewise_std_normalization needs the mean: leave featurewise_center = false out")
        if self.samplewise_std_normalization and not self.samplewise_center:
            raise ValueError("samplewise_std_normalization needs the mean: leave samplewise_center = false out")
        if self.zca_whitening and not self.featurewise_center:
            raise ValueError("zca_whitening needs the mean: leave featurewise_center = false out")
        if self.zca_whitening and self.featurewise_std_normalization:
            raise ValueError("zca_whitening replaces featurewise_std_normalization: leave one of them out")
        if self.samplewise_center and self.featurewise_center:
            raise ValueError(
                "samplewise_center changes photos before the statistics of featurewise_center and zca_whitening, "
                "those of raw photos, are taken off them: choose either samplewise_* or featurewise_* and zca_*"
            )
        if self.zca_rank and not self.zca_whitening:
            raise ValueError("zca_rank has no effect without zca_whitening = true: set it, or leave zca_rank out")
        return self

    @property
    def standardizes(self) -> bool:
        """Whether photos are scaled or standardized before the network sees them."""
        return bool(
            self.rescale not in (None, 1) or self.featurewise_center or self.samplewise_center or self.zca_whitening
        )

    @property
    def alters(self) -> bool:
        """Whether any photo can come out other than it went in, standardization aside."""
        still = Augmentation()
        neutral = {"probability", "fill_mode", "cval", "brightness_range", "downscale_range", "jpeg_quality_range"}
        return self.probability > 0 and (
            self.brightness_range is not None
            or self.degrades
            or any(getattr(self, key) != getattr(still, key) for key in ALTERATIONS if key not in neutral)
        )

    @property
    def degrades(self) -> bool:
        """Whether photos are made coarser or coded as JPEG."""
        return self.downscale_range is not None or self.jpeg_quality_range is not None

    def check(self, spec: InputSpec) -> None:
        """Refuse what makes no sense at the input size of `spec`.

        Raises a ValueError that begins with the key to change and says what to do.
        """
        if not self.zca_whitening:
            return
        features = spec.height * spec.width * spec.channels
        most = min(features, LARGEST_MODEL // (8 * features))
        size = f"{spec.height} x {spec.width} x {spec.channels}"
        if self.zca_rank is None and 4 * features**2 > LARGEST_MODEL:
            raise ValueError(
                f"zca_rank: whitening photos of {size} whole takes a matrix of {4 * features**2 / 1e6:,.0f} MB in the "
                f"model. Set zca_rank, the number of directions to whiten (here at most {most}), or take smaller ones"
            )
        if self.zca_rank is not None and self.zca_rank > most:
            raise ValueError(
                f"zca_rank: {self.zca_rank} directions of photos of {size} are too many; at most {most}, "
                f"so that the model stays below {LARGEST_MODEL / 1e6:.0f} MB"
            )


ALTERATIONS = (
    "probability",
    "rotation_range",
    "width_shift_range",
    "height_shift_range",
    "brightness_range",
    "shear_range",
    "zoom_range",
    "channel_shift_range",
    "fill_mode",
    "cval",
    "horizontal_flip",
    "vertical_flip",
    "downscale_range",
    "jpeg_quality_range",
)
"""The keys about altering photos; the others are about standardizing them."""

OWN = ("probability", "downscale_range", "jpeg_quality_range", "zca_rank")
"""The keys that ImageDataGenerator does not have."""
