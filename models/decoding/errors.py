"""What can be wrong with a photo."""

from foodscene.models.errors import FoodsceneError


class PhotoError(FoodsceneError, ValueError):
    """A photo that cannot be used. Its text says why, in words for the person who sent it."""


class UnsupportedPhoto(PhotoError):
    """The bytes are no image of a format that is read."""


class BrokenPhoto(PhotoError):
    """The bytes begin like an image and then are damaged, cut short or empty."""


class PhotoTooLarge(PhotoError):
    """Decoding the photo would cost more than is accepted: pixels, bytes a pixel, or parts that cost time."""
