"""Decoding: from a photo's bytes to its pixels as they are stored, in whatever mode that is."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from io import BytesIO
from typing import NamedTuple

import numpy as np
import pillow_heif
from PIL import AvifImagePlugin, Image, TiffImagePlugin, UnidentifiedImageError

from foodscene.models.budget import Budget
from foodscene.models.decoding import heif, jpeg, png, tiff
from foodscene.models.decoding.errors import (
    BrokenPhoto,
    PhotoError,
    PhotoTooLarge,
    UnsupportedPhoto,
)
from foodscene.models.decoding.header import Header
from foodscene.models.decoding.limits import LIMITS, DecodingLimits
from foodscene.models.decoding.orientation import SIDEWAYS, orientation

pillow_heif.register_heif_opener(thumbnails=False)
# One core for a photo: several are decoded at once, and each thread more holds more memory.
pillow_heif.options.DECODE_THREADS = 1
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
# `DecodingLimits` refuses large photos itself, from the header, and accepts larger JPEGs than Pillow does.
Image.MAX_IMAGE_PIXELS = None
# Damaged metadata: what matters of it comes as an error. Nobody who sends a photo may write into a log.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
logging.getLogger("PIL").setLevel(logging.CRITICAL)

DECODING = Budget(500_000_000)
"""Bytes that this process holds at once while it decodes, in photos that take more than 8 MB."""

_OPTIONAL = ("lzma", "webp", "zstd")
"""Compressions of TIFFs that libtiff may be built without."""
_SMALL = 8_000_000
_MOST_SCALED = 50_000_000
"""Pixels of a JPEG at reduced scale: a panorama that is narrow in one direction is reduced more."""
_BAND = 1 << 18
"""Pixels that are looked at in one piece."""
_MOST_MISSING = 0.05
"""Share of a JPEG's rows that may be missing at its end."""


class Photo(NamedTuple):
    """A decoded photo: its pixels as they are stored, and how they are meant."""

    image: Image.Image
    orientation: int = 1
    scale: float = 1.0
    """Its width against the stored one: below 1 for a JPEG decoded at reduced scale."""
    truncated: bool = False
    """Whether it lacks its end: up to 5 % of its rows, which are gray."""
    profile: bytes | None = None
    """Its ICC profile."""
    gamma: float = png.STANDARD_GAMMA
    """The exponent that was applied to light."""
    white_is_zero: bool = False
    """Whether large values are dark, in modes of more than 8 bits."""
    depth: int = 16
    """Bits of a value in a mode of 16 bits or more, without its sign."""
    samples: int = 1
    """Values of a pixel that lie side by side in a gray image of so many times the width."""


@contextmanager
def decoded(
    source: bytes,
    header: Header,
    *,
    reduce_to: tuple[float, float] | None = None,
    limits: DecodingLimits = LIMITS,
) -> Iterator[Photo]:
    """Decode a photo with this header. A large one waits for its part of `DECODING` and holds it until the block ends.

    A JPEG may come at 1/2, 1/4 or 1/8 of its size, where that still has `reduce_to` pixels in width and height.
    Raises a `PhotoError`.
    """
    limits.check(header)
    scale = _scale(header, reduce_to) if reduce_to else 1
    held = header.bytes + (4 * header.pixels // scale**2 if header.scalable else 0)
    with DECODING.hold(held) if held > _SMALL else nullcontext(), named_errors():
        yield _load(source, header, scale)


def size_upright(source: bytes, header: Header) -> tuple[int, int]:
    """Width and height of an upright photo with this header, from its header alone. Raises a `PhotoError`."""
    if header.format == "TIFF":
        width, height, turned = (
            header.width,
            header.height,
            tiff.layout(source).orientation,
        )
    else:
        with named_errors():
            if header.format == "JPEG":
                source = jpeg.tidy(source).photo
            elif header.format == "PNG":
                source = png.tidy(source).photo
            elif header.format in ("HEIF", "AVIF"):
                source = heif.tidy(source)
            image = _open(source, header)
            (width, height), turned = image.size, _turned(image)
    return (height, width) if turned in SIDEWAYS else (width, height)


@contextmanager
def named_errors() -> Iterator[None]:
    """Turn whatever Pillow and its decoders raise into a `PhotoError` with a text for people."""
    try:
        yield
    except PhotoError:
        raise
    except UnidentifiedImageError:
        raise UnsupportedPhoto("The image is damaged, or of a kind that is not read here. Send a JPEG.") from None
    except MemoryError:
        raise PhotoTooLarge("The photo takes more memory to decode than there is. Send a smaller copy.") from None
    except Exception as error:  # decoders raise whatever damaged bytes lead them to, from struct.error to KeyError
        if str(error).startswith("Unsupported"):  # as libheif begins
            raise UnsupportedPhoto("The image is of a kind that is not read here. Send a JPEG.") from error
        raise BrokenPhoto("The image is damaged or cut short. Send another copy of it.") from error


def _scale(header: Header, reduce_to: tuple[float, float]) -> int:
    """The divisor of a JPEG's size that leaves `reduce_to` pixels, or what is held within bounds."""
    if not header.scalable:
        return 1
    most = min(
        header.width // max(1, int(reduce_to[0])),
        header.height // max(1, int(reduce_to[1])),
    )
    scale = next((factor for factor in (8, 4, 2) if factor <= most), 1)
    while header.pixels // scale**2 > _MOST_SCALED and scale < 8:
        scale *= 2
    return scale


def _load(source: bytes, header: Header, scale: int) -> Photo:
    if header.format == "JPEG":
        return _load_jpeg(source, header, scale)
    if header.format == "PNG":
        return _load_png(source, header)
    if header.format == "TIFF":
        return _load_tiff(source, header)
    image = _open(heif.tidy(source) if header.format in ("HEIF", "AVIF") else source, header)
    image.load()
    return Photo(image, orientation(image), profile=_profile(image))


def _open(source: bytes, header: Header, pixels: int | None = None) -> Image.Image:
    """The image that Pillow finds, nothing of it decoded. It may not be larger than the header that was checked."""
    image = Image.open(BytesIO(source), formats=(header.format,))
    if image.width * image.height > (pixels or header.pixels):
        raise BrokenPhoto(
            f"The image is damaged: it has {image.width} x {image.height} pixels, its header says "
            f"{header.width} x {header.height}."
        )
    return image


def _load_jpeg(source: bytes, header: Header, scale: int) -> Photo:
    tidied = jpeg.tidy(source)
    image = _open(tidied.photo, header)
    if scale > 1:
        image.draft(None, (header.width // scale, header.height // scale))
    if tidied.arithmetic:
        image.decodermaxblock = len(tidied.photo)  # type: ignore[attr-defined]
    image.load()
    if tidied.truncated and (missing := _missing_rows(image)) > _MOST_MISSING * image.height:
        rows = 100 * (image.height - missing) // image.height
        raise BrokenPhoto(f"The image is damaged or cut short: only {rows} % of its rows are there.")
    return Photo(
        image,
        orientation(image),
        scale=image.width / header.width,
        truncated=tidied.truncated,
        profile=_profile(image),
    )


def _missing_rows(image: Image.Image) -> int:
    """Rows at the end that nothing was decoded for: libjpeg leaves them in the gray of coefficients of zero."""
    rows = max(1, _BAND // image.width)
    missing = 0
    for bottom in range(image.height, 0, -rows):
        band = np.asarray(image.crop((0, max(0, bottom - rows), image.width, bottom)))
        values = band.reshape(band.shape[0], -1)[::-1]
        darkest, brightest = values.min(axis=1), values.max(axis=1)
        there = (darkest != brightest) | (darkest < 127) | (darkest > 128)
        if there.any():
            return missing + int(there.argmax())
        missing += len(there)
    return missing


def _load_png(source: bytes, header: Header) -> Photo:
    tidied = png.tidy(source)
    image = _open(tidied.photo, header)
    image.load()
    if "transparency" in image.info:
        image.info["transparency"] = png.in_eight_bits(image.info["transparency"], image.mode, tidied.depth)
    return Photo(image, _turned(image), profile=tidied.profile, gamma=tidied.gamma)


def _turned(image: Image.Image) -> int:
    """An image's orientation, from its header: Pillow would decode a whole PNG to look for a tag behind the picture."""
    return 1 if image.format == "PNG" and "exif" not in image.info else orientation(image)


def _load_tiff(source: bytes, header: Header) -> Photo:
    layout = tiff.layout(source)
    compression = TiffImagePlugin.COMPRESSION_INFO.get(layout.compression)
    if compression is None or (compression in _OPTIONAL and not _is_built_in(compression)):
        raise UnsupportedPhoto("The TIFF is compressed in a way that is not read here. Save it as a JPEG.")
    image = _open(
        tiff.tidy(source, layout),
        header,
        header.pixels * (3 if layout.float_colours else 1),
    )
    profile = _profile(image)
    if layout.deep_planes:
        depth = ";16L" if layout.order == "<" else ";16B"
        image.tile = [part._replace(args=(f"{part.args[0]}{depth}", *part.args[1:])) for part in image.tile]  # type: ignore[attr-defined]
    image.load()
    return Photo(
        image,
        layout.orientation,
        profile=profile,
        white_is_zero=layout.white_is_zero and image.mode not in ("1", "L", "P"),
        depth=layout.bits - layout.signed,
        samples=3 if layout.float_colours else 1,
    )


@cache
def _is_built_in(compression: str) -> bool:
    """Whether libtiff can do this compression. Nobody says so but by trying."""
    try:
        Image.new("L", (8, 8)).save(BytesIO(), "TIFF", compression=compression)
    except OSError:
        return False
    return True


def _profile(image: Image.Image) -> bytes | None:
    profile = image.info.get("icc_profile")
    return profile if isinstance(profile, bytes) and profile else None
