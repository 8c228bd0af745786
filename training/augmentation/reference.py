"""The reference engine: Keras' own ImageDataGenerator, one photo at a time."""

import warnings

import numpy as np
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from numpy.typing import NDArray

from training.augmentation.draws import Draws, parameters
from training.augmentation.settings import Augmentation

# Keras calls scipy by a name that scipy will drop.
warnings.filterwarnings("ignore", message=r".*scipy\.ndimage\.interpolation", category=DeprecationWarning)


def generator(augmentation: Augmentation) -> ImageDataGenerator:
    """The class that TensorFlow ships as `tf.keras.preprocessing.image.ImageDataGenerator`, with these settings."""
    settings = augmentation.model_dump(exclude={"probability", "zca_rank"})
    return ImageDataGenerator(**settings, data_format="channels_last", dtype="float32")


def augment(
    pixels: NDArray[np.uint8], which: NDArray[np.int64], draws: Draws, augmentation: Augmentation
) -> NDArray[np.float32]:
    """Alter the photos `pixels[which]`, each by its row of `draws`, and do not standardize them.

    `pixels` has shape (n, height, width, channels). Returns shape (len(which), height, width, channels), values 0-255,
    not rounded.
    """
    keras_generator = generator(augmentation)
    batch = np.empty((len(which), *pixels.shape[1:]), np.float32)
    for photo, index, one in zip(batch, which, draws, strict=True):
        photo[:] = keras_generator.apply_transform(pixels[index].astype(np.float32), parameters(one))
    return batch
