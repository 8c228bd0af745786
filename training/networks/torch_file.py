"""Arrays from a `.pth` file of torch, without torch: its pickle may name what arrays are made of, and nothing else.

A pickle can call any function of Python; this one is given none but those below. Two layouts are read, those of
torch.serialization: before version 1.6 five pickles (a magic number, the protocol's version, the machine's sizes, the
named tensors, the keys of their storages), then each storage as its count of values in eight bytes, and the values;
since then a zip with the pickle of the named tensors, and a file for each storage.
"""

import collections
import io
import pickle
import pickletools
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foodscene.models.errors import FoodsceneError

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_STORAGES: dict[str, np.dtype[Any]] = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "IntStorage": np.dtype("<i4"),
    "LongStorage": np.dtype("<i8"),
}


class TorchFileError(FoodsceneError, ValueError):
    """A file that torch did not write so, or whose pickle asks for more than arrays."""


class _Storage(NamedTuple):
    """Values in a row, which tensors are views of: only their key is in the pickle."""

    key: str
    dtype: np.dtype[Any]


class _Tensor(NamedTuple):
    """A view of a storage; offset and strides are in values."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read(path: Path) -> dict[str, NDArray[Any]]:
    """The named tensors in a file, in their own shapes and dtypes (float64, 32, 16, int64, 32), read-only.

    Raises `TorchFileError` where it is no such file, is cut off, or names anything but tensors, and `OSError`.
    """
    content = path.read_bytes()
    try:
        read_layout = _zipped if content.startswith(b"PK") else _in_a_row
        tensors, storages = read_layout(content)
        return {name: _array(tensor, storages[tensor.storage.key]) for name, tensor in tensors.items()}
    except TorchFileError as error:
        raise TorchFileError(f"{path} is not read: {error}.") from None
    except Exception as error:  # a pickle's operations raise whatever their operands lead them to
        raise TorchFileError(f"{path} is not read: it is cut off, or no file of torch's with tensors alone.") from error


def _in_a_row(content: bytes) -> tuple[dict[str, _Tensor], dict[str, NDArray[Any]]]:
    """The tensors and the values of each storage, in the layout before version 1.6."""
    file = io.BytesIO(content)
    if (_unpickle(file), _unpickle(file)) != (_MAGIC, _PROTOCOL):
        raise TorchFileError("it does not begin as torch's files do")
    _unpickle(file)
    tensors = _tensors(file)
    dtypes = _dtypes(tensors)
    storages, keys = {}, _unpickle(file)
    place = file.tell()
    for key in keys:
        count = int(np.frombuffer(content, "<i8", 1, place)[0])
        storages[key] = np.frombuffer(content, dtypes[key], count, place + 8)
        place += 8 + storages[key].nbytes
    return tensors, storages


def _zipped(content: bytes) -> tuple[dict[str, _Tensor], dict[str, NDArray[Any]]]:
    """The same in the layout since version 1.6. Its files are not compressed, so none is larger than it looks."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise TorchFileError("its files are compressed, as torch's are not")
        pickled = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
        folder = pickled.removesuffix("data.pkl")
        if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder") != b"little":
            raise TorchFileError("its values lie in another order of bytes")
        tensors = _tensors(io.BytesIO(archive.read(pickled)))
        return tensors, {
            key: np.frombuffer(archive.read(f"{folder}data/{key}"), dtype) for key, dtype in _dtypes(tensors).items()
        }


def _tensors(file: io.BytesIO) -> dict[str, _Tensor]:
    # What follows the strides says whether gradients are kept.
    return {str(name): _Tensor(*arguments[:4]) for name, arguments in _unpickle(file).items()}


def _dtypes(tensors: Mapping[str, _Tensor]) -> dict[str, np.dtype[Any]]:
    """The dtype of each storage, by its key."""
    return {tensor.storage.key: tensor.storage.dtype for tensor in tensors.values()}


def _array(tensor: _Tensor, values: NDArray[Any]) -> NDArray[Any]:
    """A tensor as a view of the values of its storage, which it may not lead out of."""
    _, offset, shape, strides = tensor
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if min(offset, *shape, *strides, 0) < 0 or (all(shape) and last >= len(values)):
        raise TorchFileError("a tensor reaches beyond its storage")
    steps = [stride * values.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(values[offset:], shape, steps, writeable=False)


def _unpickle(file: io.BytesIO) -> Any:
    """The next pickle of a file, whose operations are looked through before any is carried out."""
    start = file.tell()
    for number, (operation, argument, _) in enumerate(pickletools.genops(file)):
        if operation.name in ("PUT", "LONG_BINPUT") and int(argument or 0) > number:
            raise TorchFileError("its pickle would fill the memory")  # which is set aside up to the place named
    file.seek(start)
    return _Unpickler(file).load()


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor()
        if module == "torch" and name in _STORAGES:
            return name
        raise TorchFileError(f"it asks for {module}.{name}, which no weights need")

    def persistent_load(self, pid: Any) -> _Storage:
        _, kind, key, *_ = pid  # "storage", its class, its key, then its place in torch and its count of values
        return _Storage(key, _STORAGES[kind])


def _rebuild_tensor() -> Callable[..., tuple[Any, ...]]:
    """What stands for `torch._utils._rebuild_tensor_v2`: its arguments as they are.

    A new function each time, as a pickle may set a function's attributes.
    """
    return lambda *arguments: arguments
