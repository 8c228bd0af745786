"""The photos that the golden answers are about: drawn here, in every format, depth and orientation that is read.

The pictures are drawn in whole numbers, so that they are the same on every machine.
"""

import struct
import zlib
from collections.abc import Callable
from io import BytesIO

import numpy as np
import pillow_heif
from PIL import Image, ImageDraw

WIDTH, HEIGHT = 320, 240
_ORIENTATION_TAG = 0x0112


def _grain(seed: int, columns: int, rows: int, low: tuple[int, int, int], high: tuple[int, int, int]) -> Image.Image:
    """Soft blobs of the colours between `low` and `high`."""
    shares = np.random.default_rng(seed).integers(0, 256, (rows, columns, 1))
    colours = (np.array(low) * (255 - shares) + np.array(high) * shares) // 255
    return Image.fromarray(colours.astype(np.uint8)).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)


def _fade(top: tuple[int, int, int], bottom: tuple[int, int, int], height: int = HEIGHT) -> Image.Image:
    """One colour above, another one below, and what lies between them."""
    down = np.arange(height)[:, None, None]
    colours = (np.array(top) * (height - 1 - down) + np.array(bottom) * down) // (height - 1)
    return Image.fromarray(np.broadcast_to(colours, (height, WIDTH, 3)).astype(np.uint8))


def sea() -> Image.Image:
    """Waves under an evening sky."""
    picture = _grain(1, 24, 60, (10, 60, 110), (70, 130, 170))
    picture.paste(_fade((90, 150, 210), (250, 215, 170), 110))
    ImageDraw.Draw(picture).ellipse((200, 70, 230, 100), fill=(255, 250, 225))
    return picture


def forest() -> Image.Image:
    """Trunks before leaves."""
    picture = _grain(2, 64, 48, (14, 44, 12), (130, 180, 70))
    draw = ImageDraw.Draw(picture)
    for number, left in enumerate(np.random.default_rng(3).integers(0, WIDTH, 14).tolist()):
        draw.rectangle((left, 0, left + 4 + number % 5 * 3, HEIGHT), fill=(52 + number * 2, 38, 26))
    return picture


def buildings() -> Image.Image:
    """Rows of windows."""
    picture = _fade((120, 170, 225), (215, 228, 240))
    draw = ImageDraw.Draw(picture)
    for number, (left, top) in enumerate(((0, 60), (85, 20), (165, 90), (245, 45))):
        draw.rectangle((left, top, left + 76, HEIGHT), fill=(120 + number * 22, 112 + number * 15, 108))
        for y in range(top + 10, HEIGHT, 20):
            for x in range(left + 8, left + 70, 17):
                draw.rectangle((x, y, x + 9, y + 12), fill=(40, 56, 80) if (x + y) % 3 else (240, 220, 150))
    return picture


def mountain() -> Image.Image:
    """Snow on two peaks, hills before them."""
    picture = _fade((60, 120, 200), (210, 226, 240))
    draw = ImageDraw.Draw(picture)
    for x, top, wide, rock in ((210, 60, 150, (120, 126, 146)), (100, 30, 170, (84, 84, 98))):
        draw.polygon([(x - wide, HEIGHT), (x, top), (x + wide, HEIGHT)], fill=rock)
        draw.polygon([(x - wide // 4, top + 52), (x, top), (x + wide // 4, top + 52), (x, top + 38)], fill="white")
    draw.polygon([(0, HEIGHT), (0, 190), (120, 215), (230, 180), (WIDTH, 205), (WIDTH, HEIGHT)], fill=(30, 54, 34))
    return picture


def dish() -> Image.Image:
    """Heaps of red, yellow, green and brown pieces in a dark bowl that fills the picture."""
    picture = _grain(4, 6, 80, (40, 34, 30), (66, 56, 48))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((20, -20, 300, 260), fill=(24, 22, 22))
    draw.ellipse((36, -4, 284, 244), fill=(225, 215, 195))
    heaps = (
        ((176, 44, 30), (110, 70)),
        ((226, 178, 70), (210, 70)),
        ((66, 110, 40), (110, 165)),
        ((104, 66, 44), (210, 165)),
    )
    spots = np.random.default_rng(5).integers(-48, 48, (60, 4, 2))
    for turn, places in enumerate(spots.tolist()):
        for (colour, (x, y)), (right, down) in zip(heaps, places, strict=True):
            shade = tuple(max(0, level - turn % 5 * 9) for level in colour)
            draw.ellipse((x + right - 14, y + down - 7, x + right + 14, y + down + 7), fill=shade)
    draw.ellipse((125, 85, 195, 150), fill=(250, 246, 236))
    draw.ellipse((145, 100, 178, 130), fill=(244, 170, 30))
    return picture


def _encoded(image: Image.Image, form: str, **options: object) -> bytes:
    target = BytesIO()
    image.save(target, form, **options)
    return target.getvalue()


def _lying(image: Image.Image, orientation: int, form: str) -> bytes:
    """A photo whose EXIF orientation brings it upright, or not, as a camera's may be wrong."""
    exif = Image.Exif()
    exif[_ORIENTATION_TAG] = orientation
    return _encoded(image, form, exif=exif)


def _heic(image: Image.Image) -> bytes:
    target = BytesIO()
    pillow_heif.from_pillow(image).save(target, quality=95)
    return target.getvalue()


def _see_through(image: Image.Image) -> Image.Image:
    """The picture with an ever more transparent right side."""
    image = image.convert("RGBA")
    image.putalpha(
        Image.fromarray(np.broadcast_to(np.arange(WIDTH)[::-1] * 255 // WIDTH, (HEIGHT, WIDTH)).astype("u1"))
    )
    return image


def _deep(image: Image.Image, dtype: str) -> Image.Image:
    """The picture in gray with values up to 65,280."""
    return Image.fromarray((np.asarray(image.convert("L")).astype(np.int64) * 256).astype(dtype))


def _announcing(width: int, height: int) -> bytes:
    """A PNG whose header promises more than a file of that size can hold."""
    header = b"IHDR" + struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return start + struct.pack(">I", 1000) + b"IDAT"


def _intact() -> dict[str, Callable[[], bytes]]:
    large = (2000, 1500)
    photos: dict[str, Callable[[], bytes]] = {
        "baseline.jpg": lambda: _encoded(sea(), "JPEG", quality=90),
        "progressive.jpg": lambda: _encoded(forest(), "JPEG", quality=90, progressive=True),
        "gray.jpg": lambda: _encoded(buildings().convert("L"), "JPEG"),
        "cmyk.jpg": lambda: _encoded(dish().convert("CMYK"), "JPEG"),
        "full-colour.jpg": lambda: _encoded(mountain(), "JPEG", quality=95, subsampling=0),
        "coarse.jpg": lambda: _encoded(dish(), "JPEG", quality=15),
        # So large that its decoder is asked for a reduced scale.
        "large.jpg": lambda: _encoded(buildings().resize(large), "JPEG", quality=80),
        "orientation-2.jpg": lambda: _lying(mountain(), 2, "JPEG"),
        "orientation-3.jpg": lambda: _lying(sea(), 3, "JPEG"),
        "orientation-6.jpg": lambda: _lying(mountain().transpose(Image.Transpose.ROTATE_90), 6, "JPEG"),
        "orientation-7.jpg": lambda: _lying(forest(), 7, "JPEG"),
        "orientation-8.png": lambda: _lying(dish(), 8, "PNG"),
        "rgb.png": lambda: _encoded(mountain(), "PNG"),
        "rgba.png": lambda: _encoded(_see_through(forest()), "PNG"),
        "gray.png": lambda: _encoded(sea().convert("L"), "PNG"),
        "gray-alpha.png": lambda: _encoded(_see_through(buildings()).convert("LA"), "PNG"),
        "palette.png": lambda: _encoded(dish().quantize(32, Image.Quantize.MAXCOVERAGE), "PNG"),
        "16-bit.png": lambda: _encoded(_deep(mountain(), "u2"), "PNG"),
        "1-bit.png": lambda: _encoded(mountain().convert("1"), "PNG"),
        "lossy.webp": lambda: _encoded(sea(), "WEBP", quality=80),
        "lossless.webp": lambda: _encoded(_see_through(dish()), "WEBP", lossless=True),
        "still.gif": lambda: _encoded(buildings().quantize(64, Image.Quantize.MAXCOVERAGE), "GIF"),
        "moving.gif": lambda: _encoded(forest(), "GIF", save_all=True, append_images=[sea(), dish()], duration=100),
        "rgb.bmp": lambda: _encoded(forest(), "BMP"),
        "gray.bmp": lambda: _encoded(mountain().convert("L"), "BMP"),
        "packed.tiff": lambda: _encoded(sea(), "TIFF", compression="tiff_lzw"),
        "floats.tiff": lambda: _encoded(_deep(dish(), "f4"), "TIFF"),
        "one-pixel.png": lambda: _encoded(Image.new("RGB", (1, 1), (200, 60, 40)), "PNG"),
        "flat.png": lambda: _encoded(forest().resize((4000, 2)), "PNG"),
        "tall.jpg": lambda: _encoded(buildings().resize((3, 1500)), "JPEG"),
        "unnamed": lambda: _encoded(dish().resize((90, 400)), "JPEG", quality=90),
    }
    if pillow_heif.libheif_info()["HEIF"]:  # some systems' own builds have a decoder alone
        photos["phone.heic"] = lambda: _heic(sea())
    return photos


def _broken() -> dict[str, Callable[[], bytes]]:
    return {
        "empty.jpg": lambda: b"",
        "notes.txt": lambda: b"no photo at all",
        "drawing.svg": lambda: b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        "cut.jpg": lambda: _encoded(sea(), "JPEG", quality=90)[:3000],
        "cut.png": lambda: _encoded(forest(), "PNG")[:3000],
        "cut.gif": lambda: _encoded(dish(), "GIF")[:3000],
        "cut.webp": lambda: _encoded(sea(), "WEBP", lossless=True)[:3000],
        "too-large.png": lambda: _announcing(9_000, 9_000),
    }


def draw() -> dict[str, bytes]:
    """Forty files by their names, eight of them broken; one less where HEIC cannot be written."""
    return {name: make() for name, make in (_intact() | _broken()).items()}
