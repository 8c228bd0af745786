"""Photos that lack their end, that hold more than their pixels, or hold them in unusual ways."""

import random
import re
import struct
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from benchmarks.drawn import PNG, chunk, encoded, gray_tiff, png, scene, segments, tiff, with_chunk
from foodscene.models.decoding import loading
from foodscene.models.decoding.errors import BrokenPhoto, PhotoTooLarge, UnsupportedPhoto
from foodscene.models.pixels import InputSpec, decode, read_noting, read_photo, upright_size

SPEC = InputSpec(32, 32)


def rough(width: int, height: int) -> Image.Image:
    """A picture with as much detail everywhere, so that bytes are rows."""
    noise = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(float) - other.astype(float)).mean())


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("size", [(640, 400), (4000, 3000)])
def test_a_jpeg_without_its_end_is_read_and_said_to_be(mode: str, size: tuple[int, int]) -> None:
    photo = encoded(rough(*size).convert(mode), "JPEG", quality=90)
    whole = read_noting(photo, SPEC)
    assert not whole.truncated
    kept = int(len(photo) * 0.97)
    for cut in (photo[:-2], photo[:kept], photo[:kept] + bytes(len(photo) - kept), photo[:-1] + b"\0"):
        found = read_noting(cut, SPEC)
        assert found.truncated
        assert difference(found.pixels, whole.pixels) < 8
        assert decode(cut).size == size
    for cut in (photo[: len(photo) * 9 // 10], photo[: len(photo) * 9 // 10] + bytes(len(photo) // 10)):
        with pytest.raises(BrokenPhoto, match=r"cut short: only (8|9)\d % of its rows"):
            read_photo(cut, SPEC)


def test_rows_without_end_are_counted_at_once() -> None:
    photo = encoded(Image.new("RGB", (1, 65_500), (128, 128, 128)), "JPEG")
    started = time.process_time()
    with pytest.raises(BrokenPhoto, match="only 0 % of its rows"):
        read_photo(photo[:-2], SPEC)
    assert time.process_time() - started < 0.5


def test_what_follows_the_end_of_a_jpeg_does_not_matter() -> None:
    photo = encoded(rough(640, 400), "JPEG")
    for after in (b"\0" * 1000, b"\xff", photo, b"trailer of a phone"):
        assert not read_noting(photo + after, SPEC).truncated


def test_a_progressive_jpeg_without_its_last_scans_is_read() -> None:
    parts = segments(encoded(rough(640, 400), "JPEG", progressive=True))
    assert read_noting(b"".join(parts[:-2]), SPEC).truncated
    assert not read_noting(b"".join(parts), SPEC).truncated


def test_other_formats_without_their_end_are_broken() -> None:
    for form in ("PNG", "WEBP", "GIF", "BMP"):
        photo = encoded(rough(640, 400), form)
        with pytest.raises(BrokenPhoto):
            read_photo(photo[: len(photo) * 97 // 100], SPEC)


def test_no_decoder_s_own_words_are_shown(photo: Callable[..., bytes]) -> None:
    chance = random.Random(1)
    image = Image.open(BytesIO(photo(1)))
    told = set()
    for form in ("HEIF", "PNG", "WEBP", "TIFF"):
        target = BytesIO()
        image.save(target, form)
        for _ in range(60):
            damaged = bytearray(target.getvalue())
            for _ in range(chance.randrange(1, 30)):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            with suppress(PhotoTooLarge):
                try:
                    decode(bytes(damaged[: chance.randrange(len(damaged) // 2, len(damaged) + 1)]))
                except (BrokenPhoto, UnsupportedPhoto) as error:
                    told.add(str(error))
    assert "The image is damaged or cut short. Send another copy of it." in told
    for text in told:
        assert not re.search(r"Invalid input|[Pp]lugin|iloc|SPS|buffer|NoneType|not processed|stream", text), text


def test_nothing_that_pillow_says_of_a_photo_comes_into_a_log(caplog: pytest.LogCaptureFixture) -> None:
    photo = tiff({**gray_tiff(8, 8), 277: (3, 1, 515)}, bytes(64))
    with pytest.raises(UnsupportedPhoto):
        read_photo(photo, SPEC)
    assert not caplog.records


def test_a_jpeg_with_hundreds_of_segments_of_metadata_is_read() -> None:
    photo = encoded(rough(640, 400), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0")
    extended = photo[:2] + b"\xff\xe1\0\x20http://ns.adobe.com/xmp/extens" * 500 + photo[2:]
    assert difference(read_photo(extended, SPEC), read_photo(photo, SPEC)) == 0
    assert upright_size(extended) == (400, 640)


def test_an_arithmetic_jpeg_of_more_than_a_buffer_is_read() -> None:
    """Any bytes are some picture to an arithmetic decoder, so these need no encoder."""
    data = np.random.default_rng(0).integers(0, 255, 1_000_000, dtype=np.uint8).tobytes()
    tables = next(part for part in segments(encoded(rough(64, 64), "JPEG")) if part[:2] == b"\xff\xdb")
    frame = b"\xff\xc9\0\x0b\x08" + struct.pack(">HH", 3000, 4000) + b"\1\1\x11\0"
    photo = b"\xff\xd8" + tables + frame + b"\xff\xda\0\x08\1\1\0\0\x3f\0" + data + b"\xff\xd9"
    found = read_noting(photo, SPEC)
    assert not found.truncated
    assert np.asarray(decode(photo)).std() > 3


def test_a_png_is_read_whatever_is_wrong_with_its_metadata() -> None:
    photo = encoded(scene())
    expected = read_photo(photo, SPEC)
    damaged = bytearray(chunk(b"tEXt", b"Title\0a photo"))
    damaged[-1] ^= 1
    text = chunk(b"zTXt", b"k\0\0" + zlib.compress(random.Random(0).randbytes(1 << 16) * 40))
    for added in (
        bytes(damaged),
        text,
        chunk(b"iTXt", b"k\0\0\0\0\0" + b"x" * 3_000_000),
        chunk(b"gAMA", b"\0")[:-1] + b"x",
    ):
        assert difference(read_photo(with_chunk(photo, added), SPEC), expected) == 0


def test_a_png_s_damaged_picture_is_broken() -> None:
    photo = png(64, 64)
    with pytest.raises(BrokenPhoto):
        read_photo(photo.replace(b"IDAT", b"iDAT"), SPEC)
    with pytest.raises(BrokenPhoto):
        read_photo(photo[: photo.index(b"IDAT") + 20] + photo[-12:], SPEC)


def test_an_animation_shows_its_first_frame_not_the_picture_for_other_viewers() -> None:
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("lime", "blue")]
    hidden = Image.new("RGB", (40, 30), "red")
    animated = encoded(hidden, save_all=True, append_images=frames, default_image=True)
    assert tuple(read_photo(animated, SPEC)[0, 0]) == (0, 255, 0)
    assert tuple(read_photo(encoded(frames[1], save_all=True, append_images=[hidden]), SPEC)[0, 0]) == (0, 0, 255)
    assert upright_size(animated) == (40, 30)


def test_transparency_is_in_the_depth_of_the_file() -> None:
    values = np.tile(np.array([[0, 30_000, 60_000]], np.uint16), (30, 10))
    clear = with_chunk(encoded(Image.fromarray(values)), chunk(b"tRNS", struct.pack(">H", 30_000)))
    assert sorted(np.unique(decode(clear))) == [0, 233, 255]
    rgb16 = png(40, 30, depth=16, before=chunk(b"tRNS", bytes(6)))
    assert read_photo(rgb16, SPEC).min() == 255
    other = png(40, 30, depth=16, before=chunk(b"tRNS", struct.pack(">3H", 20_000, 0, 0)))
    assert read_photo(other, SPEC).max() == 0
    four_bits = png(40, 30, depth=4, colour=0, before=chunk(b"tRNS", struct.pack(">H", 15)))
    assert read_photo(four_bits, SPEC).max() == 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_size_and_box_of_a_tiff_are_of_the_stored_picture(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    for form in ("TIFF", "JPEG", "PNG"):
        photo = encoded(scene(300, 100), form, exif=exif)
        assert upright_size(photo) == ((100, 300) if orientation > 4 else (300, 100)) == decode(photo).size
        left = read_photo(photo, SPEC, box=(0.0, 0.0, 90.0, 100.0))
        assert difference(left, np.full_like(left, (200, 30, 30))) < 3


def exif_of(kind: int, many: int, tag: int = 0x0112) -> bytes:
    """An EXIF directory of one tag with so many values of a type, all of them outside of the directory."""
    return b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHIII", tag, kind, many, 26, 0) + b"\6\0\0\0" * 2 * many


def in_segments(photo: bytes, exif: bytes) -> bytes:
    """A JPEG with EXIF in as many segments as it takes."""
    pieces = [b"Exif\0\0" + exif[place : place + 65_000] for place in range(0, len(exif), 65_000)]
    return photo[:2] + b"".join(b"\xff\xe1" + struct.pack(">H", len(piece) + 2) + piece for piece in pieces) + photo[2:]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(("kind", "tag"), [(5, 0x0112), (3, 0x0112), (5, 0x011A)])
def test_no_more_of_exif_is_read_than_its_orientation(form: str, kind: int, tag: int) -> None:
    exif = exif_of(kind, 1_000_000, tag)
    plain = encoded(scene(), form)
    photo = {
        "JPEG": lambda: in_segments(plain, exif),
        "PNG": lambda: with_chunk(plain, chunk(b"eXIf", exif)),
        "WEBP": lambda: encoded(scene(), form, exif=exif),
    }[form]()
    started = time.process_time()
    assert difference(read_photo(photo, SPEC), read_photo(plain, SPEC)) == 0
    assert upright_size(photo) == scene().size
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [3, 4])
def test_the_orientation_of_a_long_exif_is_followed(order: str, kind: int) -> None:
    value = struct.pack(f"{order}HH" if kind == 3 else f"{order}I", *((6, 0) if kind == 3 else (6,)))
    exif = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IHHHI", 8, 1, 0x0112, kind, 1) + value
    exif += bytes(200_000)
    photos = [
        in_segments(encoded(scene(), "JPEG"), exif),
        with_chunk(encoded(scene()), chunk(b"eXIf", exif)),
        encoded(scene(), "WEBP", exif=exif),
    ]
    for photo in photos:
        assert upright_size(photo) == decode(photo).size == scene().size[::-1]


def test_orientation_in_xmp_counts_where_exif_has_none() -> None:
    xmp = b'<x:xmpmeta tiff:Orientation="6"/>'
    without, upright = exif_of(3, 1, 0x0128), exif_of(3, 1).replace(struct.pack("<I", 26), struct.pack("<I", 1), 1)
    for exif, turned in ((b"", True), (without, True), (upright, False)):
        photo = encoded(scene(), "JPEG", exif=exif and b"Exif\0\0" + exif, xmp=xmp)
        assert (decode(photo).size == scene().size[::-1]) is turned


def test_the_exif_directories_of_a_tiff_are_not_read() -> None:
    many = 1_000_000
    inner = struct.pack("<HHHIII", 1, 0x9202, 5, many, 5000, 0)
    for tag in (34665, 34853, 40965):
        photo = tiff({**gray_tiff(64, 48), tag: (4, 1, 100)}, bytes(8000 + 8 * many))
        place = photo.index(struct.pack("<HHI", tag, 4, 1)) + 8
        photo = photo[:place] + struct.pack("<I", len(photo)) + photo[place + 4 :] + inner
        started = time.process_time()
        assert decode(photo).size == (64, 48)
        assert time.process_time() - started < 0.5


RAMP = np.linspace(0, 1, 64 * 48).reshape(48, 64)


@pytest.mark.parametrize("order", ["<", ">"])
def test_deep_gray_with_white_as_zero_is_not_inverted(order: str) -> None:
    data = ((1 - RAMP) * 65535).astype(f"{order}u2").tobytes()
    tags = {**gray_tiff(64, 48), 258: (3, 1, 16), 262: (3, 1, 0), 279: (4, 1, len(data))}
    assert difference(np.asarray(decode(tiff(tags, data, order))), RAMP * 255) < 1


def test_gray_of_twelve_bits_uses_its_whole_range() -> None:
    values = (RAMP * 4095).astype(np.uint16).reshape(-1, 2)
    packed = np.stack([values[:, 0] >> 4, (values[:, 0] & 15) << 4 | values[:, 1] >> 8, values[:, 1] & 255], 1)
    data = packed.astype(np.uint8).tobytes()
    tags = {**gray_tiff(64, 48), 258: (3, 1, 12), 279: (4, 1, len(data))}
    assert difference(np.asarray(decode(tiff(tags, data))), RAMP * 255) < 1


def test_a_tiff_of_32_bits_without_a_sign() -> None:
    data = np.rint(RAMP * (2**32 - 1)).astype("<u4").tobytes()
    tags = {**gray_tiff(64, 48), 258: (3, 1, 32), 279: (4, 1, len(data))}
    assert difference(np.asarray(decode(tiff(tags, data))), RAMP * 255) < 1


@pytest.mark.parametrize("order", ["<", ">"])
def test_deep_colours_that_lie_by_themselves(order: str) -> None:
    planes = [np.full((48, 64), value, f"{order}u2").tobytes() for value in (60_000, 30_000, 10_000)]
    places = struct.pack(f"{order}3I", *(1100 + 64 * 48 * 2 * number for number in range(3)))
    counts = struct.pack(f"{order}3I", *[64 * 48 * 2] * 3)
    data = (struct.pack(f"{order}3H", 16, 16, 16).ljust(8) + places + counts).ljust(100, b"\0") + b"".join(planes)
    tags = {
        **gray_tiff(64, 48),
        258: (3, 3, 1000),
        262: (3, 1, 2),
        273: (4, 3, 1008),
        277: (3, 1, 3),
        279: (4, 3, 1020),
        284: (3, 1, 2),
    }
    found = np.asarray(decode(tiff(tags, data, order)))
    assert difference(found, np.broadcast_to([234, 117, 39], found.shape)) < 1


@pytest.mark.parametrize("brightest", [1.0, 1.3, 8.0])
def test_floating_point_values_are_black_at_0_and_white_at_1(brightest: float) -> None:
    values = RAMP.astype(np.float32)
    values[0, :4] = brightest
    expected = (values * 255).clip(0, 255)
    assert difference(np.asarray(decode(encoded(Image.fromarray(values), "TIFF"))), expected) < 1
    for compression, pack in ((1, bytes), (8, zlib.compress)):
        colours = pack(np.stack([values, values / 2, values * 0], -1).tobytes())
        data = struct.pack("<6H", 32, 32, 32, 3, 3, 3).ljust(100, b"\0") + colours
        tags = {
            **gray_tiff(64, 48),
            258: (3, 3, 1000),
            259: (3, 1, compression),
            262: (3, 1, 2),
            273: (4, 1, 1100),
            277: (3, 1, 3),
            279: (4, 1, len(colours)),
            339: (3, 3, 1006),
        }
        found = np.asarray(decode(tiff(tags, data)))
        assert difference(found, np.stack([expected, expected / 2, expected * 0], -1)) < 1


@pytest.mark.nightly
def test_large_photos_are_converted_by_strips_as_small_ones_are() -> None:
    """Four megapixels and more: each pixel is a mean of several before the photo is fitted."""
    wide = rough(2600, 2000)
    alpha = Image.linear_gradient("L").resize(wide.size)
    wide.putalpha(alpha)
    small = wide.resize((650, 500), Image.Resampling.BOX)
    over = Image.alpha_composite(Image.new("RGBA", wide.size, "white"), wide).convert("RGB")
    for fit in ("squash", "crop", "pad"):
        spec = InputSpec(48, 48, 3, fit)  # type: ignore[arg-type]
        assert (
            difference(
                read_photo(encoded(wide, compress_level=1), spec), read_photo(encoded(over, compress_level=1), spec)
            )
            < 1
        )
    assert difference(np.asarray(decode(encoded(wide, compress_level=1))), np.asarray(over)) < 1
    deep = (np.asarray(small.convert("L"), np.uint16) * 257).repeat(4, 0).repeat(4, 1)
    expected = read_photo(encoded(small.convert("L")), SPEC)
    assert difference(read_photo(encoded(Image.fromarray(deep), compress_level=1), SPEC), expected) < 1


def test_png_signature_alone_is_no_photo() -> None:
    with pytest.raises(BrokenPhoto):
        read_photo(PNG, SPEC)


def test_exif_of_heic_and_avif_is_not_read() -> None:
    """Two million fractions, which would take seconds; how the picture is turned is said by a box, and kept."""
    exif = b"MM\0*" + struct.pack(">IHHHIHHHHIII", 8, 2, 0x0112, 3, 1, 3, 0, 0x8830, 5, 2_000_000, 38, 0)
    exif += bytes(16_000_000)
    photo = Image.new("RGB", (64, 32), "red")
    turned = Image.Exif()
    turned[0x0112] = 6
    # Pillow writes no such Exif into an AVIF, but as XMP it writes anything.
    avif = encoded(photo, "AVIF", exif=turned.tobytes(), xmp=bytes(4) + exif).replace(b"mimeXMP", b"ExifXMP")
    for large, size in ((encoded(photo, "HEIF", exif=b"Exif\0\0" + exif), (64, 32)), (avif, (32, 64))):
        assert large.count(b"Exif") > 0
        assert len(large) > 16_000_000
        started = time.process_time()
        assert read_photo(large, SPEC).shape == SPEC.shape
        assert upright_size(large) == size
        assert time.process_time() - started < 1


@pytest.mark.parametrize("compression", [50_001, 34_712, 33_005, 9999], ids=["WebP", "JPEG 2000", "Aperio", "unknown"])
def test_a_tiff_compressed_in_a_way_that_is_not_read_is_said_to_be(compression: int) -> None:
    if compression == 50_001 and loading._is_built_in("webp"):
        pytest.skip("this libtiff reads it")
    photo = tiff({**gray_tiff(64, 64), 259: (3, 1, compression)}, bytes(4096))
    with pytest.raises(UnsupportedPhoto, match="compressed in a way that is not read"):
        read_photo(photo, SPEC)


@pytest.mark.parametrize("compression", ["lzma", "zstd", "webp", "packbits", "tiff_lzw", "tiff_adobe_deflate", "jpeg"])
def test_a_tiff_compressed_in_a_way_that_is_read_is_read(compression: str) -> None:
    if compression in loading._OPTIONAL and not loading._is_built_in(compression):
        pytest.skip("this libtiff does not read it")
    assert read_photo(encoded(rough(64, 40), "TIFF", compression=compression), SPEC).std() > 10
