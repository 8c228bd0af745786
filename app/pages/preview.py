"""Previews: a photo as a small JPEG, for browsers that cannot show it themselves (HEIC, TIFF) or run no scripts."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

from foodscene.app.problems import of_photo
from foodscene.models import pixels

LONGEST_SIDE = 960

# One at a time: answers come first.
_hand = ThreadPoolExecutor(1, "preview")


async def preview(photo: bytes, max_pixels: int) -> bytes:
    """A JPEG of the photo, upright, at most `LONGEST_SIDE` pixels wide and high. Raises a `Problem`."""
    try:
        return await asyncio.get_running_loop().run_in_executor(_hand, _jpeg, photo, max_pixels)
    except pixels.PhotoError as error:
        raise of_photo(error) from error


def _jpeg(photo: bytes, max_pixels: int) -> bytes:
    target = BytesIO()
    pixels.shrink(photo, LONGEST_SIDE, max_pixels=max_pixels).save(target, "JPEG", quality=80)
    return target.getvalue()
