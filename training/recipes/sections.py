"""The sections of a recipe: what each may say, what that means, and what holds where it says nothing."""

from typing import Annotated, Literal, Self

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from foodscene.models.pixels import Fit, InputSpec

Share = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """A table of a recipe: no other keys than these, and no change after it was read."""

    # The text below a key is what the documentation says of it.
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Input(Section):
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


class DataSettings(Section):
    """`[data]`: how a data set is read."""

    layout: str | None = None
    """The archive's layout; found by looking at its names where absent."""
    crop_boxes: bool = False
    """Make a photo of each box that the archive draws on one (UECFOOD)."""
    spell_labels: bool = False
    """Name the classes as people write them: "Apple pie" for the folder apple_pie."""
    rename: dict[str, str] = {}
    """Other names for classes: { track_outdoor = "Running track" }. Two classes that get one name are one."""
    fractions: tuple[float, float, float] = (0.7, 0.2, 0.1)
    """Shares of train, validation and test, where the data set has no split of its own."""
    stratified: bool = True
    """Divide classes of fewer than 200 photos at exact shares; without it, by each photo's content alone."""
    cross_validation: bool = False
    """Measure on all photos, where they are fewer than 200 and none are for testing alone: five networks are trained,
    each answers the fifth that it has not seen. The bundle's own then learns from the test photos too."""


class Network(Section):
    """`[model]` of every kind: what all three kinds have."""

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


class Dense(Network):
    """`[model]` with `kind = "dense"`: flatten, dense layers, output."""

    kind: Literal["dense"]
    """Which network this is."""


class Convolutional(Network):
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
    pooling_window: int = Field(2, ge=2)
    """Pixels: the side of what pooling takes in at one place. It moves by two: wider windows overlap."""
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


class Transfer(Network):
    """`[model]` with `kind = "transfer"`: a backbone trained on ImageNet, global average pooling, dense layers."""

    kind: Literal["transfer"]
    """Which network this is."""
    backbone: str
    """A name of `keras.applications`: VGG16, MobileNetV2, EfficientNetB0 …, or EfficientNetLite0 to
    EfficientNetLite4."""
    weights: str = "imagenet"
    """"imagenet", "none", or the path of a file in the layout in which keras.applications publishes them; for an
    EfficientNetLite, a `.pth` as its packages have it."""
    scaling: Literal["own", "recipe"] = "own"
    """Who scales pixels 0-255: the backbone's "own" preprocessing, or the "recipe" by its input.scale or
    standardization, which then takes its place."""
    head_dropout: Share = 0.0
    """Share of values dropped before the dense layers."""


class Optimizer(Section):
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


class Schedule(Section):
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


class EarlyStopping(Section):
    """`[early_stopping]`: end once the validation loss falls no more. Without this section, all epochs are trained."""

    patience: PositiveInt
    """Epochs in a row that may bring the validation loss down by less than `min_relative_delta`."""
    min_relative_delta: Share = Field(default=0.0, validation_alias=AliasChoices("min_relative_delta", "min_delta"))
    """A share of the best loss so far (0.005: half a percent)."""


class Training(Section):
    """`[training]`: how long, in which portions, towards what."""

    epochs: PositiveInt
    """Passes over the training photos, at most; or parts of passes, see `epochs_per_pass`."""
    epochs_per_pass: PositiveInt = 1
    """Epochs that one pass over the training photos takes: with more than 1, many photos are measured, and the run is
    kept, so many times on the way. `epochs` counts these."""
    batch_size: PositiveInt = 32
    """Photos per step."""
    loss: Literal["cross-entropy", "mean-squared-error"] = "cross-entropy"
    """What is brought down."""
    label_smoothing: Share = 0.0
    """Share of the right label's target that is spread over all labels."""
    mixup: NonNegativeFloat = 0.0
    """The alpha of mixup: 0 mixes nothing, 0.2 a little, 1 a lot."""
    outliers: NonNegativeFloat = 0.0
    """Pictures of nothing beside each batch's photos, as a share of them: the network learns to be unsure. They are
    drawn; half of them are photos where `--outliers` brings some."""
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


class Finetune(Section):
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


class Teaching(Section):
    """`[teacher]`: learn the answers of the bundle that `--teacher` names, in place of the labels."""

    temperature: PositiveFloat = 1.0
    """What the teacher's logits are divided by: above 1, its answers say more of the labels that it holds unlikely.
    The validation loss is then that of a network which is unsure, until calibration: keep the last epoch."""


class Reported(Section):
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
