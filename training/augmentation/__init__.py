"""Random alterations of training photos: ImageDataGenerator's arguments and meaning, in two engines."""

from training.augmentation.settings import Augmentation

__all__ = ["Augmentation"]
