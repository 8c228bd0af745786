"""What an `.h5` model is made of, read without running any of it.

A model file is a program: Keras ignored `safe_mode` for `.h5` until 3.11 (CVE-2025-9905) and its checks have been
bypassed since. So the layers that a file names are compared with the list below before anything is deserialized,
and whatever makes HDF5 reach outside the file is refused.
"""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import h5py

from foodscene.models.errors import FoodsceneError
from foodscene.models.files import UnreadableFile, opening

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
_LARGEST_VALUE = 8  # bytes of one
_MOST_BYTES = (1 << 31) - 1
_MOST_MEMBERS = 200_000
"""Groups and data sets of a file: a network of Keras' applications has up to 4,000."""
_MOST_CONFIG = 16_000_000
"""Bytes of the configuration: a network of Keras' applications has up to 1 MB of it."""


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
        with opening(path, _MOST_BYTES) as content, h5py.File(content, "r") as file:
            _refuse_links(file, os.fstat(content.fileno()).st_size)
            config = _attribute(file, "model_config")
            version = _attribute(file, "keras_version")
    except (UnreadableFile, UnsafeModel) as error:
        raise UnsafeModel(str(error)) from error
    except Exception as error:  # h5py passes on whatever the HDF5 library makes of damaged bytes
        raise UnsafeModel(f"{path.name} is not a readable HDF5 file: {error}") from error
    if config is None:
        raise UnsafeModel(
            f"{path.name} holds no model, only weights or something else. Save the whole model: model.save('model.h5')."
        )
    try:
        model = json.loads(config)
    except (ValueError, RecursionError) as error:
        raise UnsafeModel(f"{path.name}: its model_config is not JSON: {error}") from error
    layers: list[str] = []
    _refuse_objects(model, layers, depth=0)
    if not layers:
        raise UnsafeModel(f"{path.name} has no layers.")
    return Architecture(_input_shape(model), tuple(layers), version or "unknown")


def _attribute(file: h5py.File, name: str) -> str | None:
    """A text that the file says of itself; None where it does not."""
    if name not in file.attrs:
        return None
    if (size := file.attrs.get_id(name).get_storage_size()) > _MOST_CONFIG:
        raise UnsafeModel(f"Its {name} has {size:,} bytes; up to {_MOST_CONFIG:,} are read.")
    value = file.attrs[name]
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    if len(text) > _MOST_CONFIG:  # a text of variable length lies elsewhere
        raise UnsafeModel(f"Its {name} has {len(text):,} characters; up to {_MOST_CONFIG:,} are read.")
    return text


def _refuse_links(file: h5py.File, file_size: int) -> None:
    """Refuse links, storage outside the file, and data sets that announce more than the file can hold."""
    groups: list[h5py.Group] = [file]
    seen = set()
    members = values = 0
    while groups:
        group = groups.pop()
        address = h5py.h5o.get_info(group.id).addr
        if address in seen:
            continue
        seen.add(address)
        for name in group:
            members += 1
            if members > _MOST_MEMBERS:
                raise UnsafeModel(f"The file has more than {_MOST_MEMBERS:,} groups and data sets.")
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise UnsafeModel(
                    f"{group.name}/{name} is a {type(link).__name__}: a model file must not link anywhere."
                )
            member = group[name]
            if isinstance(member, h5py.Group):
                groups.append(member)
            elif isinstance(member, h5py.Dataset):
                _refuse_values(member)
                values += member.size or 0
            else:
                raise UnsafeModel(f"{member.name} is neither a group nor a data set.")
    if values > file_size * _MOST_VALUES_PER_BYTE:
        raise UnsafeModel(f"The file announces {values:,} values but has only {file_size:,} bytes.")


def _refuse_values(member: h5py.Dataset) -> None:
    """Refuse values that lie outside the file, or are no numbers."""
    if member.external or member.is_virtual:
        raise UnsafeModel(f"{member.name} keeps its values outside the file: a model must hold them itself.")
    if member.dtype.hasobject or member.dtype.itemsize > _LARGEST_VALUE:
        raise UnsafeModel(f"{member.name} holds values of type {member.dtype}: weights are numbers.")


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
    if module is not None and not (isinstance(module, str) and module in _MODULES):
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
            if isinstance(shape, list) and len(shape) == 4 and all(size is None or type(size) is int for size in shape):
                return shape[1], shape[2], shape[3]
    children = model.values() if isinstance(model, dict) else model if isinstance(model, list) else ()
    for child in children:
        if (found := _input_shape(child)) is not None:
            return found
    return None
