"""Reads a Keras model into a graph, by h5py alone. Nothing of the file is run or deserialized."""

import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from io import BytesIO
from pathlib import Path
from typing import IO, TypeAlias

import h5py

from foodscene.models.graph import storage
from foodscene.models.graph.builder import Sides, build
from foodscene.models.graph.configuration import Network, parse
from foodscene.models.graph.graph import Graph, ModelRefused
from foodscene.models.graph.weights import ArchiveWeights, Weights, WholeWeights

_LARGEST_MEMBER = 4 * 2**30
_ARCHIVE = b"PK\x03\x04"


def read(source: Path | IO[bytes], name: str = "", sides: Sides | None = None) -> Graph:
    """The graph of an `.h5` model or of a `.keras` archive, with its weights.

    `name` is what errors call the file; `sides` are the photos' where the model leaves these open.
    Raises `ModelRefused`, with the reason, for a file that is no whole model, that is damaged or reaches out of itself,
    or that has a layer or option which foodscene does not know. Raises `FileNotFoundError`.
    """
    return _read(source, name, sides, weights=True)


def outline(source: Path | IO[bytes], name: str = "", sides: Sides | None = None) -> Graph:
    """As `read`, without the weights, in a fraction of the time. Refuses what `read` does, but for wrong weights."""
    return _read(source, name, sides, weights=False)


def _read(source: Path | IO[bytes], name: str, sides: Sides | None, *, weights: bool) -> Graph:
    name = name or (source.name if isinstance(source, Path) else "The model")
    try:
        with source.open("rb") if isinstance(source, Path) else nullcontext(source) as file:
            archive = file.read(len(_ARCHIVE)) == _ARCHIVE
            file.seek(0)
            with (_archive if archive else _h5)(file, name) as (config, stored, version):
                network = parse(config)
                return build(network, stored(network) if weights else None, version, sides)
    except ModelRefused as error:
        text = str(error)
        raise ModelRefused(text if text[:1].isupper() or text.startswith(name) else f"{name}: {text}.") from error
    except RecursionError as error:
        raise ModelRefused(f"{name} is nested too deeply.") from error


_Stored: TypeAlias = tuple[str, Callable[[Network], Weights], str]
"""What a file holds: a configuration, the weights of the network that it describes, and the version of Keras."""


@contextmanager
def _h5(source: IO[bytes], name: str) -> Iterator[_Stored]:
    with storage.opened(source, name) as file:
        config = storage.attribute(file, "model_config")
        if config is None:
            raise ModelRefused(
                f"{name} holds no model, only weights or something else. Save the whole model: model.save('model.h5')."
            )
        version = storage.attribute(file, "keras_version") or "1"
        group = file.get("model_weights")
        if not isinstance(group, h5py.Group):
            raise ModelRefused(f"{name} holds no weights: save the whole model, model.save('model.h5').")
        backend = storage.attribute(group, "backend") or storage.attribute(file, "backend") or ""
        yield config, lambda _network: WholeWeights(group, backend), version


@contextmanager
def _archive(source: IO[bytes], name: str) -> Iterator[_Stored]:
    """A `.keras` archive: ``config.json``, ``metadata.json`` and ``model.weights.h5`` in a zip."""
    size = source.seek(0, 2)
    try:
        with zipfile.ZipFile(source) as archive:
            texts = {}
            for member, most in (("config.json", 32 * 2**20), ("metadata.json", 2**20)):
                texts[member] = _member(archive, member, most).decode("utf-8", "replace")
            content = _member(archive, "model.weights.h5", min(_LARGEST_MEMBER, 4 * size + 2**20))
    except ModelRefused:
        raise
    except (zipfile.BadZipFile, zlib.error, *_UNREADABLE) as error:
        raise ModelRefused(f"{name} is no readable .keras archive: {str(error)[:100]}") from error
    version = texts["metadata.json"].partition('"keras_version":')[2].strip(' "').partition('"')[0] or "3"
    with storage.opened(BytesIO(content), f"{name}'s model.weights.h5") as file:
        yield texts["config.json"], lambda network: ArchiveWeights(file, network), version


_UNREADABLE = (KeyError, OSError, NotImplementedError, RuntimeError, EOFError, ValueError, OverflowError)


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    info = archive.getinfo(name)
    if info.file_size > most:
        raise ModelRefused(f"{name} in the archive has {info.file_size:,} bytes, more than the {most:,} that fit it.")
    with archive.open(info) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ModelRefused(f"{name} in the archive is larger than it says.")
    return content
