"""Random alterations of training photos: ImageDataGenerator's arguments and meaning, in two engines."""

from typing import Literal

AugmentationEngine = Literal["fast", "keras"]
"""Who alters them: `fast`, or the real ImageDataGenerator."""
