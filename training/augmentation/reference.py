"""The reference engine: Keras' own ImageDataGenerator, one photo at a time."""

import warnings
from collections.abc import Callable

import numpy as np
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from numpy.typing import NDArray

from foodscene.training.augmentation.degradation import degrade
from foodscene.training.augmentation.draws import Draws, parameters
from foodscene.training.recipes.augmentation import OWN, Augmentation

# Keras calls scipy by a name that scipy will drop.
warnings.filterwarnings("ignore", message=r".*scipy\.ndimage\.interpolation", category=DeprecationWarning)


def generator(augmentation: Augmentation) -> ImageDataGenerator:
    """The class that TensorFlow ships as `tf.keras.preprocessing.image.ImageDataGenerator`, with these settings."""
    settings = augmentation.model_dump(exclude=set(OWN))
    return ImageDataGenerator(**settings, data_format="channels_last", dtype="float32")


def prepare(
    pixels: NDArray[np.uint8], which: NDArray[np.int64], draws: Draws, augmentation: Augmentation
) -> Callable[[slice], NDArray[np.float32]]:
    """Prepare to alter the photos `pixels[which]`, each by its row of `draws`, and not to standardize them.

    `pixels` has shape (n, height, width, channels). Returns what makes a slice of the altered photos, in any thread:
    shape (photos of the slice, height, width, channels), values 0-255, not rounded.
    """
    keras_generator = generator(augmentation)

    def alter(part: slice) -> NDArray[np.float32]:
        indices = which[part]
        batch = np.empty((len(indices), *pixels.shape[1:]), np.float32)
        for photo, index, one in zip(batch, indices, draws[part], strict=True):
            photo[:] = keras_generator.apply_transform(pixels[index].astype(np.float32), parameters(one))
        if augmentation.degrades:
            rounded = np.clip(np.rint(batch), 0, 255).astype(np.uint8)
            degrade(rounded, draws[part])
            batch[:] = rounded
        return batch

    return alter
