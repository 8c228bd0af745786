"""Arrays from a `.pth` file of torch, without torch: its pickle may name what arrays are made of, and nothing else.

A pickle can call any function of Python; this one is given no function but those below. The layout is that of
torch.serialization._legacy_load: five pickles (a magic number, the protocol's version, the machine's sizes, the named
tensors, the keys of their storages), then each storage as its count of values in eight bytes, and the values.
"""

import collections
import io
import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foodscene.models.errors import FoodsceneError

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_STORAGES = {
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


def read(path: Path) -> dict[str, NDArray[Any]]:
    """The named tensors in a file, in their own shapes and dtypes (float64, 32, 16, int64, 32), read-only.

    Raises `TorchFileError` where it is not torch's layout from before 1.6, is cut off, or names anything but
    tensors, and `OSError`.
    """
    content = path.read_bytes()
    file = io.BytesIO(content)
    try:
        if (_unpickle(file), _unpickle(file)) != (_MAGIC, _PROTOCOL):
            raise TorchFileError("it does not begin as torch's files did before version 1.6")
        _unpickle(file)
        tensors = dict(_unpickle(file))
        places = {}
        for key in _unpickle(file):
            (count,) = np.frombuffer(content, "<i8", 1, file.tell())
            places[key] = (file.tell() + 8, int(count))
            dtype = next(tensor[0].dtype for tensor in tensors.values() if tensor[0].key == key)
            file.seek(int(count) * dtype.itemsize + 8, io.SEEK_CUR)
        return {str(name): _array(content, *places[tensor[0].key], *tensor[:4]) for name, tensor in tensors.items()}
    except TorchFileError as error:
        raise TorchFileError(f"{path} is not read: {error}.") from None
    except Exception as error:  # a pickle's operations raise whatever their operands lead them to
        raise TorchFileError(f"{path} is not read: it is cut off, or no file of torch ({error}).") from error


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
            return _tensor()
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise TorchFileError(f"it asks for {module}.{name}, which no weights need")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, *_ = pid
        if kind != "storage" or not isinstance(dtype, np.dtype):
            raise TorchFileError(f"it refers to {kind!r}")
        return _Storage(key, dtype)


def _tensor() -> Callable[..., tuple[Any, ...]]:
    """What stands for `torch._utils._rebuild_tensor_v2`: its arguments, a storage, an offset, a shape, strides …

    A new function for each pickle, as a pickle may set a function's attributes.
    """
    return lambda *arguments: arguments


def _array(
    content: bytes,
    place: int,
    count: int,
    storage: _Storage,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
) -> NDArray[Any]:
    """A tensor as a view of its storage; offset and strides are in values, and may not lead out of it."""
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if min(offset, *shape, *strides, 0) < 0 or (all(shape) and last >= count):
        raise TorchFileError("a tensor reaches beyond its storage")
    values = np.frombuffer(content, storage.dtype, count, place)
    steps = [stride * storage.dtype.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(values[offset:], shape, steps, writeable=False)
