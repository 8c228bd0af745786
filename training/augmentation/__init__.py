"""Random alterations of training photos: ImageDataGenerator's arguments and meaning, in two engines."""

from typing import Literal

from foodscene.training.recipes.augmentation import Augmentation

Engine = Literal["fast", "keras"]
"""Who alters them: `fast`, or the real ImageDataGenerator."""

__all__ = ["Augmentation", "Engine"]
