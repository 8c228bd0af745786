"""Model files at half their size where that loses nothing: weights that half precision holds exactly are kept in it.

Trained weights are seldom so by chance; `training.networks.compact` makes them so. Whoever reads the files computes in
float32: Keras casts what it loads to the type of its variables, and so does the compiler.
"""

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from foodscene.models.files import writing

_WORTH_IT = 1024  # values; halving fewer saves nothing that shows


def halve_h5(path: Path) -> None:
    """Rewrite an HDF5 file, its float32 data sets as float16 where that is exact. Attributes and order stay."""
    with writing(path) as file, h5py.File(path, "r") as old, h5py.File(file, "w") as new:
        _copy(old, new)


def _copy(old: h5py.Group, new: h5py.Group) -> None:
    for key, value in old.attrs.items():
        new.attrs[key] = value
    for name, member in old.items():
        if isinstance(member, h5py.Group):
            _copy(member, new.create_group(name))
        elif (halves := _halves(member[()])) is not None:
            new.create_dataset(name, data=halves)
        else:
            old.copy(name, new)


def _halves(values: NDArray[np.generic]) -> NDArray[np.float16] | None:
    """The values in half precision, where there are enough of them and it holds each one exactly."""
    if values.dtype != np.float32 or values.size < _WORTH_IT:
        return None
    with np.errstate(over="ignore"):
        halves = values.astype(np.float16)
    return halves if np.array_equal(halves.astype(np.float32), values) else None
