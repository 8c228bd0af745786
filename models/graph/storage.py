"""Reads HDF5 without trusting it: nothing outside the file is touched, and nothing larger than the file is made."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import h5py
import numpy as np

from foodscene.models.graph.graph import Array, ModelRefused, in_words

# A file may announce far more values than it holds. Keras writes them uncompressed; half precision has two bytes each.
_MOST_VALUES_PER_BYTE = 2
_LARGEST_VALUE = 8
"""Bytes of one value."""
_MOST_MEMBERS = 200_000
_LONGEST_TEXT = 16_000_000
_FILTERS = frozenset({h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32})


@contextmanager
def opened(source: Path | IO[bytes], name: str) -> Iterator[h5py.File]:
    """An HDF5 file that links nowhere. `name` is what errors call it.

    Raises `ModelRefused` for what is no HDF5, is damaged, reaches outside of itself, or announces more than it holds;
    also where the block meets damage while it reads.
    """
    try:
        with h5py.File(source, "r") as file:
            size = source.stat().st_size if isinstance(source, Path) else source.seek(0, 2)
            _refuse_what_reaches_out(file, size)
            yield file
    except ModelRefused:
        raise
    except FileNotFoundError:
        raise
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, MemoryError) as error:
        # h5py passes on whatever the HDF5 library makes of damaged bytes
        raise ModelRefused(f"{name} is not a readable HDF5 file, or is damaged: {_first_line(error)}") from error


def attribute(group: h5py.Group, name: str) -> str | None:
    """A text among a group's attributes, or None where it is absent."""
    if name not in group.attrs:
        return None
    if group.attrs.get_id(name).get_storage_size() > _LONGEST_TEXT:
        raise ModelRefused(f"its attribute {name} is longer than {_LONGEST_TEXT:,} bytes")
    value = group.attrs[name]
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        raise ModelRefused(f"its attribute {name} is no text")
    return value


def names(group: h5py.Group, name: str) -> list[str]:
    """A list of texts among a group's attributes; Keras spreads a long one over `name0`, `name1` and so on."""
    parts = [name] if name in group.attrs else []
    while not parts or parts[0] != name:
        part = f"{name}{len(parts)}"
        if part not in group.attrs:
            break
        parts.append(part)
    found: list[str] = []
    for part in parts:
        values = np.asarray(group.attrs[part]).ravel().tolist()
        found += [item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item) for item in values]
        if len(found) > _MOST_MEMBERS:
            raise ModelRefused(f"its attribute {name} has more than {_MOST_MEMBERS:,} entries")
    return found


def values(dataset: h5py.Dataset, shape: tuple[int, ...]) -> Array:
    """The numbers of a data set, which must have that shape: float16 where they are stored so, else float32."""
    if dataset.shape != shape:
        raise ModelRefused(f"its weight {dataset.name} has the shape {in_words(dataset.shape)}, not {in_words(shape)}")
    if dataset.dtype.kind not in "fiu" or dataset.dtype.itemsize > 8:
        raise ModelRefused(f"its weight {dataset.name} holds {dataset.dtype}, no numbers")
    kept = np.float16 if dataset.dtype == np.float16 else np.float32
    array: Array = dataset[()].astype(kept, copy=False)
    if not np.isfinite(array.sum(dtype=np.float64)):
        raise ModelRefused(f"its weight {dataset.name} holds values that are not finite")
    return array


def _refuse_what_reaches_out(file: h5py.File, file_size: int) -> None:
    """Refuse links, storage outside the file, unknown filters, and data sets larger than the file can hold."""
    groups: list[h5py.Group] = [file]
    seen = set()
    announced = members = 0
    while groups:
        group = groups.pop()
        address = h5py.h5o.get_info(group.id).addr
        if address in seen:
            continue
        seen.add(address)
        for name in group:
            members += 1
            if members > _MOST_MEMBERS:
                raise ModelRefused(f"The file has more than {_MOST_MEMBERS:,} members.")
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise ModelRefused(
                    f"{group.name}/{name} is a {type(link).__name__}: a model file must not link anywhere."
                )
            member = group[name]
            if isinstance(member, h5py.Group):
                groups.append(member)
            elif isinstance(member, h5py.Dataset):
                _refuse_storage(member)
                announced += member.size or 0
            else:
                raise ModelRefused(f"{member.name} is neither a group nor a data set.")
    if announced > file_size * _MOST_VALUES_PER_BYTE:
        raise ModelRefused(f"The file announces {announced:,} values but has only {file_size:,} bytes.")


def _refuse_storage(member: h5py.Dataset) -> None:
    if member.external or member.is_virtual:
        raise ModelRefused(f"{member.name} keeps its values outside the file: a model must hold them itself.")
    if member.dtype.hasobject or member.dtype.itemsize > _LARGEST_VALUE:
        raise ModelRefused(f"{member.name} holds values of type {member.dtype}: weights are numbers.")
    properties = member.id.get_create_plist()
    for index in range(properties.get_nfilters()):
        code = properties.get_filter(index)[0]
        if code not in _FILTERS:  # HDF5 would look for a library of that number
            raise ModelRefused(f"{member.name} is packed with the HDF5 filter {code}; only gzip is read.")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
