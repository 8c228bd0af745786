"""What a photo costs is known from its header, and what costs too much is refused before anything is decoded."""

import io
import struct
import time
import zlib

import pytest
from PIL import Image

from benchmarks.drawn import chunk, encoded, gray_tiff, png, scene, tiff
from benchmarks.hostile import FLOODS, gif_with
from foodscene.models.decoding.errors import BrokenPhoto, PhotoError, PhotoTooLarge, UnsupportedPhoto
from foodscene.models.decoding.inspection import inspect
from foodscene.models.decoding.limits import LIMITS, DecodingLimits
from foodscene.models.pixels import InputSpec, read_photo

SPEC = InputSpec(32, 32)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "HEIF", "AVIF"])
def test_format_and_size_of_every_format(form: str) -> None:
    header = inspect(encoded(scene(), form))
    assert (header.format, header.width, header.height) == (form, 200, 100)
    # HEIC, AVIF and JPEG in TIFF have a size of their own inside, which only their decoders find; libtiff prints.
    assert header.heavy is (form in ("HEIF", "AVIF"))
    for compression in ("jpeg", "tiff_lzw", "packbits"):
        assert inspect(encoded(scene(), "TIFF", compression=compression)).heavy


@pytest.mark.parametrize("options", [{"lossless": True}, {}, {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"}])
def test_size_of_each_kind_of_webp(options: dict[str, object]) -> None:
    assert inspect(encoded(scene(300, 170), "WEBP", **options))[:3] == ("WEBP", 300, 170)


def test_headers_that_end_early_are_broken_and_other_bytes_no_photo() -> None:
    for form in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "HEIF"):
        photo = encoded(scene(), form)
        for length in range(12, 60, 3):
            with pytest.raises(PhotoError):
                read_photo(photo[:length], SPEC)
    for other in (b"%PDF-1.7", b"\0" * 100, encoded(scene(), "PPM"), b"\0\0\0\x18ftypmp42" + bytes(60)):
        with pytest.raises(UnsupportedPhoto, match="JPEG"):
            inspect(other)
    with pytest.raises(BrokenPhoto, match="0 x 100"):
        inspect(png(1, 100).replace(struct.pack(">II", 1, 100), struct.pack(">II", 0, 100)))


def jpeg_header(width: int, height: int, sampling: int = 0x22, frame: int = 0xC0, scans: int = 1) -> bytes:
    """A JPEG of any size as far as its header tells: nothing in it can be decoded."""
    size = struct.pack(">HH", height, width)
    components = bytes([1, sampling, 0, 2, 0x11, 1, 3, 0x11, 1])
    head = b"\xff\xd8\xff" + bytes([frame]) + b"\0\x11\x08" + size + b"\3" + components
    return head + b"\xff\xda\0\x0c\3\1\0\2\x11\3\x11\0\x3f\0data" * scans + b"\xff\xd9"


@pytest.mark.parametrize(
    ("photo", "accepted"),
    [
        (jpeg_header(16_320, 12_240), True),  # a 200-megapixel phone
        (jpeg_header(16_500, 12_240), False),
        (jpeg_header(11_500, 8_600, frame=0xC2), True),
        (jpeg_header(11_700, 8_600, frame=0xC2), False),
        (jpeg_header(9_600, 7_200, 0x11, frame=0xC2), True),
        (jpeg_header(9_800, 7_200, 0x11, frame=0xC2), False),
        (jpeg_header(1000, 1000, frame=0xC2, scans=100), True),
        (jpeg_header(1000, 1000, frame=0xC2, scans=101), False),
        (jpeg_header(11_500, 8_600, frame=0xC2, scans=15), True),
        (jpeg_header(11_500, 8_600, frame=0xC2, scans=16), False),
        (png(50_000, 1000), True),
        (png(50_001, 1000), False),
        (png(37_500, 1000, colour=6), True),
        (png(37_501, 1000, colour=6), False),
        (png(18_751, 1000, colour=6, depth=16), False),
        (png(50_000, 1000, depth=16, colour=0), True),
        (png(50_001, 1000, depth=1, colour=0), False),
    ],
)
def test_limits_count_what_a_pixel_costs(photo: bytes, accepted: bool) -> None:
    header = inspect(photo)
    if accepted:
        LIMITS.check(header)
        assert header.bytes <= 430_000_000
    else:
        with pytest.raises(PhotoTooLarge, match=r"[Ss]ave it as a baseline JPEG|smaller copy") as refused:
            LIMITS.check(header)
        assert any(number in str(refused.value) for number in (str(header.width), str(header.scans)))


def test_thin_photos_are_limited_by_what_their_rows_and_columns_take() -> None:
    thin = struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 0, 0, 0, 62, 40, 1, 20_000_000, 1, 1, 0, 0, 0, 0, 2, 0)
    for photo in (tiff(gray_tiff(1, 20_000_000), b""), tiff(gray_tiff(20_000_000, 1), b""), thin):
        assert inspect(photo).heavy
        with pytest.raises(PhotoTooLarge, match=r"x .* takes 8\d\d MB of memory; at most 500"):
            read_photo(photo, SPEC)
    assert read_photo(png(1, 100_000, depth=1, colour=0), SPEC).shape == SPEC.shape


def test_large_tiles_and_strips_count_as_memory() -> None:
    tiles = {**gray_tiff(6080, 6080), 258: (3, 1, 8), 259: (3, 1, 8), 262: (3, 1, 2), 277: (3, 1, 3)}
    for side, refused in ((256, False), (6080, False), (12_160, True)):
        header = inspect(tiff({**tiles, 322: (4, 1, side), 323: (4, 1, side), 324: (4, 1, 1000)}, b""))
        if refused:
            with pytest.raises(PhotoTooLarge, match="takes 592 MB of memory; at most 500"):
                LIMITS.check(header)
            DecodingLimits(held=600_000_000).check(header)
        else:
            LIMITS.check(header)


@pytest.mark.parametrize("form", ["AVIF", "HEIF", "WEBP"])
@pytest.mark.parametrize("width", [5000, 16_000])
def test_what_has_as_many_pixels_as_are_read_is_within_the_memory(form: str, width: int) -> None:
    """The two limits agree: pixels are what people are told."""
    header = inspect(encoded(scene(), form))
    most = LIMITS.webp * 99 // 100 if form == "WEBP" else LIMITS.heif
    held = 16.6 if form == "WEBP" else header.held
    LIMITS.check(header._replace(width=width, height=most // width, held=held))


def test_limits_are_settable() -> None:
    photo = encoded(scene(), "WEBP")
    assert read_photo(photo, SPEC, limits=DecodingLimits(webp=20_000)).shape == SPEC.shape
    with pytest.raises(PhotoTooLarge, match=r"200 x 100 pixels; of a WebP, at most 0\.02 million"):
        read_photo(photo, SPEC, limits=DecodingLimits(webp=19_999))
    with pytest.raises(PhotoTooLarge, match="HEIC"):
        read_photo(encoded(scene(), "HEIF"), SPEC, limits=DecodingLimits(heif=1))


@pytest.mark.parametrize("kind", FLOODS)
def test_floods_of_parts_are_refused_at_once(kind: str) -> None:
    photo = FLOODS[kind]()

    def refuse() -> float:
        started = time.process_time()
        with pytest.raises(PhotoTooLarge, match=r"at most|more than|TIFF's tiles"):
            read_photo(photo, SPEC)
        return time.process_time() - started

    assert min(refuse(), refuse()) < 0.5  # the first may pay for caches that others use, too


def test_compressed_text_and_profiles_are_not_inflated() -> None:
    packed = zlib.compress(bytes(50_000_000), 9)
    for bomb in (b"zTXt", b"k\0\0"), (b"iCCP", b"k\0\0"), (b"iTXt", b"k\0\1\0\0\0"):
        photo = png(64, 64, before=chunk(bomb[0], bomb[1] + packed))
        assert read_photo(photo, SPEC).shape == SPEC.shape


def test_a_photo_larger_than_its_header_said_is_refused() -> None:
    """A GIF whose first picture is larger than its screen grows to it; so is a HEIC whose pictures are of all sizes."""
    target = io.BytesIO()
    Image.new("P", (300, 200)).save(target, "GIF")
    photo = bytearray(target.getvalue())
    photo[6:10] = struct.pack("<HH", 1, 1)
    assert inspect(bytes(photo))[1:3] == (300, 200)


@pytest.mark.parametrize(
    ("photo", "heavy"),
    [
        (jpeg_header(4032, 3024), False),  # most phones
        (jpeg_header(4032, 3024, frame=0xC2), False),
        (jpeg_header(6000, 4000, frame=0xC2), True),
        (jpeg_header(16_320, 12_240), True),
        (jpeg_header(2000, 1000, frame=0xC2, scans=100), True),
        (png(2000, 1000), False),
        (png(8000, 4000), True),
        (gif_with(b"") + bytes(100_000), False),
        (gif_with(b"") + bytes(30_000_000), True),  # codes that add no pixel take time
    ],
)
def test_what_is_heavy_is_known(photo: bytes, heavy: bool) -> None:
    assert inspect(photo).heavy is heavy
