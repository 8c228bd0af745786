"""Previews: a photo as a small JPEG, for browsers that cannot show it themselves (HEIC, TIFF) or run no scripts."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

from starlette.requests import Request

from foodscene.app.inference.decoder import Decoder
from foodscene.app.problems import of_photo
from foodscene.app.service import Service
from foodscene.models.pixels import PhotoError

LONGEST_SIDE = 960

# One at a time, also when its request has been given up meanwhile: answers come first.
_hand = ThreadPoolExecutor(1, "preview")


async def preview(photo: bytes, service: Service, request: Request) -> bytes:
    """A JPEG of the photo, upright, at most `LONGEST_SIDE` pixels wide and high.

    Raises a `Problem`: `overloaded` too, and `deadline-exceeded`; or `ClientGone`.
    """
    try:
        async with service.deadline(request), service.previews.turn():
            return await asyncio.get_running_loop().run_in_executor(_hand, _jpeg, photo, service.decoder)
    except PhotoError as error:
        raise of_photo(error) from error


def _jpeg(photo: bytes, decoder: Decoder) -> bytes:
    target = BytesIO()
    decoder.shrink(photo, LONGEST_SIDE).save(target, "JPEG", quality=80)
    return target.getvalue()
