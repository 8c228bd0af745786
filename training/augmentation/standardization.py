"""`rescale` and the standardization switches of the `[augmentation]` section as built-in Keras layers.

They follow the model's input, so that a saved model takes raw pixels wherever it goes.
"""

from collections.abc import Iterator

import keras
import numpy as np
from numpy.typing import NDArray

from foodscene.training.augmentation import whitening
from foodscene.training.datasets import DatasetError
from foodscene.training.recipes.augmentation import Augmentation

_CHUNK = 64_000_000  # bytes of float32 pixels in memory at a time


def layers(
    augmentation: Augmentation, pixels: NDArray[np.uint8], indices: NDArray[np.int64]
) -> list[keras.layers.Layer]:
    """The layers that do to raw photos what `ImageDataGenerator.standardize` does after `fit`.

    The statistics are those of the photos `pixels[indices]`, unaltered; `pixels` is uint8 of shape (n, height, width,
    channels), often a memory map, and is read in chunks. The layers keep the photos' shape, compute in float32 also
    where a model computes in 16 bits, and are not trained. The list is empty where nothing is switched on.

    Raises a ValueError, as `Augmentation.check` does, where there are no photos.
    """
    if augmentation.featurewise_center and len(indices) == 0:
        raise DatasetError("featurewise_center: there are no training photos to take the mean of.")
    scale = augmentation.rescale or 1.0
    made: list[keras.layers.Layer] = []
    if augmentation.samplewise_center:
        made += _samplewise(augmentation.samplewise_std_normalization, scale, pixels.shape[1:])
    elif augmentation.featurewise_center:
        mean, deviation = statistics(pixels, indices)
        unit = scale * deviation + 1e-6 if augmentation.featurewise_std_normalization else np.ones_like(mean)
        # Not a Normalization layer: Keras exports its statistics to ONNX as inputs that the caller has to feed.
        made.append(_rescaling("featurewise", scale / unit, -scale * mean / unit))
        if augmentation.zca_whitening:
            made += _whitening(augmentation, pixels, indices, scale, mean)
    elif scale != 1.0:
        made.append(_rescaling("rescale", scale))
    for layer in made:
        layer.trainable = False
    return made


def statistics(
    pixels: NDArray[np.uint8], indices: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each channel over the photos `pixels[indices]`, each of shape (channels,).

    One pass; exact, as it counts how often each of the 256 levels occurs.
    """
    channels = pixels.shape[-1]
    counts = np.zeros((channels, 256), np.int64)
    for chunk in chunks(pixels, indices):
        for channel in range(channels):
            counts[channel] += np.bincount(chunk[..., channel].ravel(), minlength=256)
    levels = np.arange(256)
    mean = counts @ levels / counts.sum(1)
    variance = counts @ levels**2 / counts.sum(1) - mean**2
    return mean, np.sqrt(np.maximum(variance, 0))


def chunks(pixels: NDArray[np.uint8], indices: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
    """The photos `pixels[indices]` in the order they are stored in, as many at a time as bounded memory allows."""
    size = max(1, _CHUNK // (4 * int(np.prod(pixels.shape[1:]))))
    stored = np.sort(indices)
    for start in range(0, len(stored), size):
        yield pixels[stored[start : start + size]]


def _rescaling(
    name: str, scale: float | NDArray[np.float64], offset: float | NDArray[np.float64] = 0.0
) -> keras.layers.Layer:
    """Values, or those of each channel, times `scale` plus `offset`."""
    lists = (float(one) if np.ndim(one) == 0 else np.asarray(one).tolist() for one in (scale, offset))
    return keras.layers.Rescaling(*lists, name=name, dtype="float32")


def _samplewise(normalizes: bool, scale: float, shape: tuple[int, ...]) -> list[keras.layers.Layer]:
    """Layers that take off each photo's mean, over all its values, and divide by its standard deviation."""
    # Against a huge epsilon a photo's variance vanishes in float32: all photos are divided by the same number, which is
    # how the mean alone is taken off with Keras' own layers. The small one is far below the variance of any photo that
    # shows something; a blank photo becomes zeros, not amplified rounding.
    epsilon = 1e-6 if normalizes else 1e12
    # Flat, because an .h5 file keeps only the last of several axes.
    normalization = keras.layers.LayerNormalization(
        epsilon=epsilon, center=False, scale=False, name="samplewise", dtype="float32"
    )
    made = [
        keras.layers.Reshape((int(np.prod(shape)),), name="samplewise_flat", dtype="float32"),
        normalization,
        keras.layers.Reshape(shape, name="samplewise_photo", dtype="float32"),
    ]
    if not normalizes:
        made.append(_rescaling("samplewise_scale", scale * epsilon**0.5))
    return made


def _whitening(
    augmentation: Augmentation,
    pixels: NDArray[np.uint8],
    indices: NDArray[np.int64],
    scale: float,
    mean: NDArray[np.float64],
) -> list[keras.layers.Layer]:
    shape = pixels.shape[1:]
    features = int(np.prod(shape))
    offset = np.broadcast_to(mean, shape).reshape(features).astype(np.float32)

    def centred() -> Iterator[NDArray[np.float32]]:
        for chunk in chunks(pixels, indices):
            yield (chunk.reshape(len(chunk), features) - offset) * np.float32(scale)

    if augmentation.zca_rank is None:
        kernels = [whitening.whole(centred, augmentation.zca_epsilon)]
    else:
        half = whitening.low_rank(centred, augmentation.zca_epsilon, augmentation.zca_rank)
        kernels = [half, half.T]
    made: list[keras.layers.Layer] = [keras.layers.Reshape((features,), name="zca_flat", dtype="float32")]
    for number, kernel in enumerate(kernels):
        dense = keras.layers.Dense(kernel.shape[1], use_bias=False, name=f"zca_{number}", dtype="float32")
        dense.build((None, kernel.shape[0]))
        dense.set_weights([kernel])
        made.append(dense)
    return [*made, keras.layers.Reshape(shape, name="zca_photo", dtype="float32")]
