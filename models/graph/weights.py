"""Finds the weights of layers in HDF5: by their names, else by their order."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

import h5py
import numpy as np

from foodscene.models.graph import storage
from foodscene.models.graph.configuration import Network
from foodscene.models.graph.graph import Array, Layer, ModelRefused

_NAMES = {
    "kernel": ("kernel", "depthwise_kernel"),
    "moving_mean": ("moving_mean", "running_mean"),
    "moving_variance": ("moving_variance", "running_variance", "running_std"),
}
"""Other names of a weight in older files; Keras 1 called a variance `running_std`."""

_KERAS_1_NAMES = {"kernel": "W", "bias": "b", "depthwise_kernel": "depthwise_W", "pointwise_kernel": "pointwise_W"}
_STATES = frozenset({"moving_mean", "moving_variance", "mean", "variance", "count"})
"""Weights that are not trained. Keras keeps them after those that are."""


class Leaf(NamedTuple):
    """A layer whose weights are still to be read. `path` names it: the models that it is in, then itself."""

    path: tuple[str, ...]
    class_name: str
    layer: Layer
    shapes: Mapping[str, tuple[int, ...]]
    trainable: bool


class Weights(Protocol):
    """The weights in a file."""

    def fill(self, leaves: Iterable[Leaf]) -> None:
        """Read the weights of all layers, in the order of the file's configuration, into their `weights`.

        Raises `ModelRefused` where one is missing or has another shape.
        """
        ...


class WholeWeights:
    """The group `model_weights` of a whole model: a group for each of the outermost model's layers."""

    def __init__(self, group: h5py.Group, backend: str) -> None:
        self._group = group
        self._flipped = backend == "theano"

    def fill(self, leaves: Iterable[Leaf]) -> None:
        """See `Weights`."""
        by_layer: dict[str, list[Leaf]] = {}
        for leaf in leaves:
            by_layer.setdefault(leaf.path[0], []).append(leaf)
        for name, members in by_layer.items():
            needed = [leaf for leaf in members if leaf.shapes]
            if needed:
                self._fill_group(name, needed)

    def _fill_group(self, name: str, leaves: list[Leaf]) -> None:
        group = self._group.get(name)
        if not isinstance(group, h5py.Group):
            raise ModelRefused(f"The weights of the layer {name[:80]!r} are missing.")
        stored = {_plain(path): path for path in storage.names(group, "weight_names")}
        found = {leaf.path: _by_name(leaf, stored, alone=len(leaves) == 1) for leaf in leaves}
        if any(item is None for item in found.values()):
            found = _by_order(name, leaves, list(stored.values()))
        for leaf in leaves:
            for weight, path in (found[leaf.path] or {}).items():
                dataset = group.get(path)
                if not isinstance(dataset, h5py.Dataset):
                    raise ModelRefused(f"The weight {path[:80]!r} of the layer {name[:80]!r} is missing.")
                _put(leaf, weight, self._values(leaf, weight, dataset))

    def _values(self, leaf: Leaf, weight: str, dataset: h5py.Dataset) -> Array:
        shape = leaf.shapes[weight]
        kernel = weight.endswith("kernel") and len(shape) == 4
        if kernel and dataset.shape != shape and dataset.shape == (shape[3], shape[2], *shape[:2]):
            # Keras 1 kept the kernels of channels_first layers as Theano does: (filters, channels, rows, columns).
            array = storage.values(dataset, dataset.shape).transpose(2, 3, 1, 0)
        else:
            array = storage.values(dataset, shape)
        return np.ascontiguousarray(array[::-1, ::-1]) if kernel and self._flipped else array


class ArchiveWeights:
    """The weights in a `.keras` archive, by class names and numbers: ``layers/conv2d_1/vars/0``."""

    def __init__(self, file: h5py.File, network: Network) -> None:
        self._file = file
        self._places = dict(_numbered(network, (), ""))

    def fill(self, leaves: Iterable[Leaf]) -> None:
        """See `Weights`."""
        for leaf in leaves:
            place = self._places[leaf.path]
            for part, names in _parts(leaf).items():
                for number, name in enumerate(names):
                    dataset = self._dataset(place, f"{part}vars/{number}", leaf)
                    _put(leaf, name, storage.values(dataset, leaf.shapes[name]))

    def _dataset(self, place: str, inside: str, leaf: Leaf) -> h5py.Dataset:
        for folder in ("layers", "_layer_checkpoint_dependencies"):  # the second until Keras 2.15
            for part in (inside, f"_{inside}"):  # Keras 2 calls the parts of an attention so
                dataset = self._file.get(f"{place.replace('layers', folder)}/{part}")
                if isinstance(dataset, h5py.Dataset):
                    return dataset
        raise ModelRefused(f"The weights of the layer {leaf.path[-1][:80]!r} are missing ({place}/{inside}).")


def _numbered(network: Network, path: tuple[str, ...], folder: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Where each layer of a network stands in an archive."""
    used: dict[str, int] = {}
    for entry in network.entries.values():
        if entry.operation:
            continue
        name = _snake(entry.class_name)
        number = used[name] = used.get(name, -1) + 1
        place = f"{folder}layers/{name}_{number}" if number else f"{folder}layers/{name}"
        yield (*path, entry.name), place
        if entry.network:
            yield from _numbered(entry.network, (*path, entry.name), f"{place}/")


def _snake(name: str) -> str:
    """A class name as Keras writes it in archives (keras.src.utils.naming.to_snake_case)."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _parts(leaf: Leaf) -> dict[str, list[str]]:
    """The names of a layer's weights in their order, by the part of the layer that keeps them."""
    parts: dict[str, list[str]] = {}
    inside = "layer/" if leaf.class_name == "SpectralNormalization" else ""
    for weight in leaf.shapes:
        owner, _, _name = weight.rpartition("/")
        part = {"": "", "attention_output": "output_dense/"}.get(owner, f"{owner}_dense/")
        parts.setdefault(inside + part, []).append(weight)
    return parts


def _put(leaf: Leaf, name: str, array: Array) -> None:
    weights = leaf.layer.weights
    assert isinstance(weights, dict)  # noqa: S101 - the reader's own, filled in here
    weights[name] = array


def _plain(path: str) -> str:
    """A weight's name without TensorFlow's number of an output, `:0`."""
    return re.sub(r":\d+$", "", path)


def _by_name(leaf: Leaf, stored: Mapping[str, str], alone: bool) -> dict[str, str] | None:
    """Where each weight of a layer stands; None unless every one has just one place."""
    found = {}
    for weight in leaf.shapes:
        places = list(_places(leaf, weight, stored, alone))
        if len(places) != 1:
            return None
        found[weight] = places[0]
    return found


def _places(leaf: Leaf, weight: str, stored: Mapping[str, str], alone: bool) -> Iterator[str]:
    names = _NAMES.get(weight, (weight,))
    for depth in range(0 if alone else 1, len(leaf.path) + 1):
        owner = "/".join(leaf.path[len(leaf.path) - depth :])
        wanted = [f"{owner}/{name}" if owner else name for name in names]
        found = [path for name, path in stored.items() if any(f"/{name}".endswith(f"/{one}") for one in wanted)]
        if alone and not found:
            old = (*names, _KERAS_1_NAMES.get(weight, weight))
            found = [path for name, path in stored.items() if any(name.endswith(f"_{one}") for one in old)]
        if len(found) <= 1 or depth == len(leaf.path):
            yield from found
            return


def _by_order(name: str, leaves: list[Leaf], stored: list[str]) -> dict[tuple[str, ...], dict[str, str] | None]:
    """As Keras itself does: what is trained first, layer by layer, then what is not."""
    trained = [(leaf, weight) for leaf in leaves if leaf.trainable for weight in leaf.shapes if weight not in _STATES]
    rest = [(leaf, weight) for leaf in leaves for weight in leaf.shapes if weight in _STATES or not leaf.trainable]
    if len(trained) + len(rest) != len(stored):
        raise ModelRefused(
            f"The layer {name[:80]!r} has {len(trained) + len(rest)} weights, but the file holds {len(stored)} for it."
        )
    found: dict[tuple[str, ...], dict[str, str] | None] = {leaf.path: {} for leaf in leaves}
    for (leaf, weight), path in zip([*trained, *rest], stored, strict=True):
        places = found[leaf.path]
        if places is not None:
            places[weight] = path
    return found
