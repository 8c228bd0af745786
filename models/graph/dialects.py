"""What Keras 1 and 2 called otherwise: a layer of any version in the words of Keras 3."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from foodscene.models.graph.graph import ModelRefused
from foodscene.models.graph.layers import AT_REST, LAYERS
from foodscene.models.graph.options import read_options

_CLASSES = {
    "AtrousConvolution2D": "Conv2D",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution2DTranspose": "Conv2DTranspose",
    "Deconvolution2D": "Conv2DTranspose",
    "FixedDropout": "Dropout",  # of the package `efficientnet`
    "SeparableConvolution1D": "SeparableConv1D",
    "SeparableConvolution2D": "SeparableConv2D",
    "SyncBatchNormalization": "BatchNormalization",
    "ThresholdedReLU": "ReLU",
}
_OPTIONS = {
    "atrous_rate": "dilation_rate",
    "bias": "use_bias",
    "border_mode": "padding",
    "dim_ordering": "data_format",
    "filter_length": "kernel_size",
    "nb_filter": "filters",
    "output_dim": "units",
    "p": "rate",
    "pool_length": "pool_size",
    "stride": "strides",
    "subsample": "strides",
    "subsample_length": "strides",
}
_MERGES = {
    "ave": "Average",
    "concat": "Concatenate",
    "max": "Maximum",
    "mul": "Multiply",
    "sum": "Add",
}
_FORMATS = {"th": "channels_first", "tf": "channels_last", None: "channels_last"}

# What a configuration says beside the options that matter for the answer: how the weights were drawn and trained.
_NO_MATTER = re.compile(
    r"""name|trainable|dtype|input_dtype|autocast|sparse|ragged|optional|input_dim|input_length|input_shape|batch_shape
    |batch_input_shape|batch_size|build_config|.*initializer|.*regularizer|.*constraint|init|weights|seed|noise_shape
    |momentum|renorm|renorm_clipping|renorm_momentum|virtual_batch_size|fused|synchronized|implementation|rng_type
    |query_shape|key_shape|value_shape|force_generator
    |activation|groups|data_format|axis|beta_init|gamma_init|power_iterations|supports_masking|attention_axes
    |fill_mode|fill_value""",
    re.VERBOSE,
)
_KERAS_MODULES = re.compile(r"(keras|tf_keras|tensorflow\.keras|tensorflow\.python\.keras)(\.[A-Za-z0-9_.]+)?")


class Step(NamedTuple):
    """A layer in today's words, before it has weights. A layer of a file may become several, one after the other."""

    kind: str
    options: dict[str, Any]


def translate(class_name: str, config: Mapping[str, Any], major: int) -> tuple[Step, ...]:
    """A layer of a file that Keras `major` wrote, in the words of Keras 3, then what its activation needs.

    Raises `ModelRefused` where the layer, or an option of it, is none that foodscene knows.
    """
    config = _renamed(config)
    kind = _CLASSES.get(class_name, class_name)
    if class_name == "ThresholdedReLU":
        config["threshold"] = config.pop("theta", 1.0)
    elif class_name == "Merge":
        kind = _merge(config)
    elif class_name == "RandomCrop" and major < 3:  # Keras 3 leaves photos as they are
        kind = "Resizing"
        config = {name: config.get(name) for name in ("height", "width")} | {"crop_to_aspect_ratio": True}
    elif class_name == "RandomCrop" or class_name in AT_REST:
        return (Step("Identity", {}),)
    elif class_name == "LeakyReLU" and "alpha" in config:
        config["negative_slope"] = config.pop("alpha")
    elif class_name == "UpSampling1D" and "length" in config:
        config["size"] = config.pop("length")
    if kind not in LAYERS:
        raise ModelRefused(_unknown(class_name))
    _refuse_quantized(config.get("dtype"))
    _refuse_unknown_options(kind, config)
    after = _after(config, major)
    return (Step(kind, read_options(LAYERS[kind].options, config)), *after)


def refuse_foreign(entry: Mapping[str, Any]) -> None:
    """Refuse a layer or model that its file takes from elsewhere than Keras: the same name may do something else."""
    name, module, registered = entry.get("class_name"), entry.get("module"), entry.get("registered_name")
    if module is not None and not (isinstance(module, str) and _KERAS_MODULES.fullmatch(module)):
        raise ModelRefused(
            f"The model takes {str(name)[:80]!r} from {str(module)[:80]!r}, which is not one of Keras' own modules."
        )
    if registered is not None and registered != name and not str(registered).startswith("keras."):
        raise ModelRefused(
            f"The model names {str(name)[:80]!r} as the custom object {str(registered)[:80]!r}; only built-in ones are "
            "read."
        )


def _renamed(config: Mapping[str, Any]) -> dict[str, Any]:
    config = {_OPTIONS.get(name, name): value for name, value in config.items()}
    if "nb_row" in config and "nb_col" in config:
        config["kernel_size"] = [config.pop("nb_row"), config.pop("nb_col")]
    if "data_format" in config:
        given = config["data_format"]
        config["data_format"] = _FORMATS.get(given, given) if given is None or isinstance(given, str) else given
    if config.get("strides") is None:
        config.pop("strides", None)
    if config.get("padding") == "default":
        del config["padding"]
    return config


def _merge(config: dict[str, Any]) -> str:
    """Keras 1's one layer for all ways of merging."""
    mode = config.get("mode", "sum")
    if not isinstance(mode, str) or mode not in _MERGES:
        raise ModelRefused(f"it merges by {str(mode)[:40]!r}, which foodscene does not know")
    config["axis"] = config.get("concat_axis", -1)
    for name in ("mode", "concat_axis", "dot_axes", "mode_type", "output_mask", "output_mask_type", "output_shape"):
        config.pop(name, None)
    for name in ("output_shape_type", "output_mask", "layers"):
        config.pop(name, None)
    return _MERGES[mode]


def _after(config: dict[str, Any], major: int) -> tuple[Step, ...]:
    """Layers that stand for an activation which Keras 3 has no name for; takes it out of the configuration."""
    activation = config.get("activation")
    if activation == "hard_sigmoid" and major < 3:
        # Until Keras 2.15 clip(0.2 x + 0.5, 0, 1), since then relu6(x + 3) / 6.
        config["activation"] = "linear"
        relu = read_options(LAYERS["ReLU"].options, {"max_value": 1.0})
        return Step("Rescaling", {"scale": 0.2, "offset": 0.5}), Step("ReLU", relu)
    if isinstance(activation, Mapping) and str(activation.get("class_name")) in _ACTIVATION_LAYERS:
        refuse_foreign(activation)
        given = activation.get("config")
        if not isinstance(given, Mapping):
            raise ModelRefused("its activation has no configuration")
        config["activation"] = "linear"
        return translate(activation["class_name"], given, major)
    return ()


_ACTIVATION_LAYERS = frozenset({"Activation", "ELU", "LeakyReLU", "ReLU", "Softmax", "ThresholdedReLU"})


def _unknown(class_name: str) -> str:
    shown = repr(class_name[:80])
    if "Lambda" in class_name:
        return f"The model contains {shown}: Lambda layers carry code. Rebuild it from built-in layers."
    if class_name in _OTHER_FIELDS:
        return f"The model contains {shown}, a layer for texts, sounds or volumes: foodscene reads models for photos."
    return f"The model contains {shown}: only Keras' built-in image layers are read. Rebuild it from built-in layers."


_OTHER_FIELDS = frozenset(
    """
    Attention Bidirectional Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D ConvLSTM3D CuDNNGRU CuDNNLSTM Embedding GRU
    GlobalAveragePooling3D GlobalMaxPooling3D GroupQueryAttention Hashing IntegerLookup LSTM Masking MaxPooling3D
    MelSpectrogram RNN SimpleRNN STFTSpectrogram StringLookup TextVectorization TimeDistributed
    """.split()
)


def _refuse_quantized(dtype: Any) -> None:
    name = dtype.get("config", {}).get("name", "") if isinstance(dtype, Mapping) else dtype
    if isinstance(name, str) and re.search("int8|int4|float8|gptq|awq", name):
        raise ModelRefused(f"its weights are quantized ({name[:40]}), which foodscene does not read")


def _refuse_unknown_options(kind: str, config: Mapping[str, Any]) -> None:
    for name, value in config.items():
        if name in LAYERS[kind].options or value in (None, False, [], {}):
            continue
        if not _NO_MATTER.fullmatch(name):
            raise ModelRefused(f"it has the option {str(name)[:40]!r}, which foodscene does not know")
