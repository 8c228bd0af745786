"""What an `.h5` model is made of, read without running any of it.

A model file is a program: Keras ignored `safe_mode` for `.h5` until 3.11 (CVE-2025-9905) and its checks have been
bypassed since. So the layers that a file names are compared with the list below before anything is deserialized,
and whatever makes HDF5 reach outside the file is refused.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import h5py

from foodscene.models.errors import FoodsceneError

LAYERS = frozenset(
    """
    Activation ActivityRegularization Add AlphaDropout Average AveragePooling1D AveragePooling2D BatchNormalization
    CenterCrop Concatenate Conv1D Conv2D Conv2DTranspose Cropping2D Dense DepthwiseConv2D Dot Dropout ELU EinsumDense
    Flatten GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalMaxPooling1D
    GlobalMaxPooling2D GroupNormalization Identity InputLayer LayerNormalization LeakyReLU MaxPooling1D MaxPooling2D
    Maximum Minimum MultiHeadAttention Multiply Normalization PReLU Permute RMSNormalization RandomBrightness
    RandomContrast RandomCrop RandomFlip RandomRotation RandomTranslation RandomZoom ReLU RepeatVector Rescaling Reshape
    Resizing SeparableConv2D Softmax SpatialDropout1D SpatialDropout2D SpectralNormalization Subtract UnitNormalization
    UpSampling2D ZeroPadding2D
    """.split()
)
"""Keras' built-in layers for images. None of them runs code from the file or opens another one."""

_MODELS = frozenset({"Functional", "Model", "Sequential"})
_PARTS = frozenset(
    """
    __keras_tensor__ __tuple__ DTypePolicy Policy
    Constant GlorotNormal GlorotUniform HeNormal HeUniform LecunNormal LecunUniform Ones Orthogonal RandomNormal
    RandomUniform TruncatedNormal VarianceScaling Zeros
    L1 L2 L1L2 OrthogonalRegularizer MaxNorm MinMaxNorm NonNeg UnitNorm
    """.split()
)
"""Initializers, regularizers, constraints and data types, as layers' configurations name them."""

_MODULES = frozenset(
    """
    keras keras.layers keras.models keras.initializers keras.regularizers keras.constraints keras.dtype_policies
    keras.src.models.functional keras.src.models.sequential keras.src.engine.functional keras.src.engine.sequential
    """.split()
)
# A weight file may announce far more values than it holds. Keras writes them uncompressed.
_MOST_VALUES_PER_BYTE = 2


class UnsafeModel(FoodsceneError, ValueError):
    """The file is no Keras model made of built-in layers alone. Its text names what was found."""


class Architecture(NamedTuple):
    """What a model file says of itself.

    The input's (height, width, channels), with None for what it leaves open; its layers' class names; and the version
    of Keras that wrote it.
    """

    input_shape: tuple[int | None, int | None, int | None] | None
    layers: tuple[str, ...]
    keras_version: str


def inspect(path: Path) -> Architecture:
    """Read the architecture of an `.h5` model and make sure that loading it runs nothing but Keras' built-in layers.

    Raises `UnsafeModel`, with the reason, for a file that is not an HDF5 model, that links out of itself, or that names
    a layer or object which is not built in.
    """
    try:
        with h5py.File(path, "r") as file:
            _refuse_links(file, path.stat().st_size)
            config = file.attrs.get("model_config")
            version = _text(file.attrs.get("keras_version", "unknown"))
    except UnsafeModel:
        raise
    except Exception as error:  # h5py passes on whatever the HDF5 library makes of damaged bytes
        raise UnsafeModel(f"{path.name} is not a readable HDF5 file: {error}") from error
    if config is None:
        raise UnsafeModel(
            f"{path.name} holds no model, only weights or something else. Save the whole model: model.save('model.h5')."
        )
    try:
        model = json.loads(_text(config))
    except ValueError as error:
        raise UnsafeModel(f"{path.name}: its model_config is not JSON: {error}") from error
    layers: list[str] = []
    _refuse_objects(model, layers, depth=0)
    if not layers:
        raise UnsafeModel(f"{path.name} has no layers.")
    return Architecture(_input_shape(model), tuple(layers), version)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _refuse_links(file: h5py.File, file_size: int) -> None:
    """Refuse links, storage outside the file, and data sets that announce more than the file can hold."""
    groups: list[h5py.Group] = [file]
    seen = set()
    values = 0
    while groups:
        group = groups.pop()
        address = h5py.h5o.get_info(group.id).addr
        if address in seen:
            continue
        seen.add(address)
        for name in group:
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise UnsafeModel(
                    f"{group.name}/{name} is a {type(link).__name__}: a model file must not link anywhere."
                )
            member = group[name]
            if isinstance(member, h5py.Group):
                groups.append(member)
            elif isinstance(member, h5py.Dataset):
                if member.external or member.is_virtual:
                    raise UnsafeModel(
                        f"{member.name} keeps its values outside the file: a model must hold them itself."
                    )
                values += member.size or 0
            else:
                raise UnsafeModel(f"{member.name} is neither a group nor a data set.")
    if values > file_size * _MOST_VALUES_PER_BYTE:
        raise UnsafeModel(f"The file announces {values:,} values but has only {file_size:,} bytes.")


def _refuse_objects(node: Any, layers: list[str], depth: int) -> None:
    """Walk the configuration; collect the layers' class names, refuse whatever Keras would look up elsewhere."""
    if depth > 200:
        raise UnsafeModel("The model's configuration is nested too deeply.")
    if isinstance(node, list):
        for item in node:
            _refuse_objects(item, layers, depth + 1)
    elif isinstance(node, dict):
        if "class_name" in node:
            _refuse_object(node, layers)
        for item in node.values():
            _refuse_objects(item, layers, depth + 1)


def _refuse_object(node: dict[str, Any], layers: list[str]) -> None:
    name, module, registered = str(node["class_name"]), node.get("module"), node.get("registered_name")
    if name in LAYERS:
        layers.append(name)
    elif name not in _MODELS and name not in _PARTS:
        advice = "Lambda layers carry code" if "Lambda" in name else "only Keras' built-in image layers are loaded"
        raise UnsafeModel(f"The model contains {name[:80]!r}: {advice}. Rebuild it from built-in layers.")
    if module is not None and module not in _MODULES:
        raise UnsafeModel(
            f"The model takes {name!r} from {str(module)[:80]!r}, which is not one of Keras' own modules."
        )
    if registered not in (None, name):
        raise UnsafeModel(
            f"The model names {name!r} as the custom object {str(registered)[:80]!r}; only built-in ones are loaded."
        )


def _input_shape(model: Any) -> tuple[int | None, int | None, int | None] | None:
    """Of the first input layer in the configuration, or the first layer that says what it takes; None if none does."""
    if isinstance(model, dict):
        config = model.get("config")
        if model.get("class_name") in LAYERS and isinstance(config, dict):
            shape = config.get("batch_shape") or config.get("batch_input_shape")
            if (
                isinstance(shape, list)
                and len(shape) == 4
                and all(size is None or isinstance(size, int) for size in shape)
            ):
                return shape[1], shape[2], shape[3]
    children = model.values() if isinstance(model, dict) else model if isinstance(model, list) else ()
    for child in children:
        if (found := _input_shape(child)) is not None:
            return found
    return None
