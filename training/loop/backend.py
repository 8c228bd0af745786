"""How Keras reads an epoch: what `fit` and `evaluate` take, on each of its backends, and what `predict` answers."""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from foodscene.training.loop import devices
from foodscene.training.loop.batches import Batch

_READ_AHEAD = 2  # batches that TensorFlow has taken over while it computes on another


def fed(batches: Any, batch_size: int) -> dict[str, Any]:
    """An epoch as arguments of `fit` and `evaluate`: in one piece on one device, where the batches offer that."""
    whole = batches.whole() if hasattr(batches, "whole") and devices.count() == 1 else None
    if keras.backend.backend() == "tensorflow":
        return {"x": _dataset(batches, whole, batch_size)}
    if whole is None:
        return {"x": devices.even(batches)}
    photos, targets = whole
    return {"x": photos, "y": targets, "batch_size": batch_size}


def predict(model: keras.Model, batches: Any, photos: int) -> NDArray[np.float32]:
    """What a model makes of `photos` photos in batches, on all devices: float32 of shape (photos, …)."""
    x = _dataset(batches) if keras.backend.backend() == "tensorflow" else devices.even(batches)
    return np.asarray(model.predict(x, verbose=0), dtype=np.float32)[:photos]


def _dataset(batches: Any, whole: Batch | None = None, batch_size: int = 0) -> Any:
    """The batches as a `tf.data.Dataset` that does not tune itself.

    The one that Keras makes does, and that costs every tenth epoch or so up to its own length: the thread that tunes
    looks on after 10, 20, 40 … ms and sometimes misses that the epoch is over. (TensorFlow 2.21; see
    `Model::OptimizeLoop` in its core/framework/model.cc.)
    """
    import tensorflow as tf

    if whole:
        dataset = tf.data.Dataset.from_tensor_slices(whole).batch(batch_size)
    else:
        signature = tuple(tf.TensorSpec((None, *part.shape[1:]), part.dtype) for part in batches[0])
        dataset = tf.data.Dataset.from_generator(lambda: iter(batches), output_signature=signature)
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(len(batches))).prefetch(_READ_AHEAD)
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
