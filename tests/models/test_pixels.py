"""How the bytes of a photo become the input of a network."""

import io
import random
from contextlib import AbstractContextManager

import numpy as np
import pytest
from PIL import Image

from benchmarks.drawn import encoded, scene
from foodscene.models.budget import Budget
from foodscene.models.decoding import loading
from foodscene.models.pixels import (
    BrokenPhoto,
    DecodingLimits,
    InputSpec,
    PhotoError,
    PhotoTooLarge,
    UnsupportedPhoto,
    decode,
    fit,
    read_photo,
    refit,
    upright_size,
)

SPEC = InputSpec(32, 32)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(float) - other.astype(float)).mean())


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "HEIF"])
def test_every_format_gives_the_same_picture(image_format: str) -> None:
    pixels = read_photo(encoded(scene(), image_format), SPEC)
    assert pixels.shape == (32, 32, 3)
    assert pixels.dtype == np.uint8
    assert difference(pixels, fit(scene(), SPEC)) < 6


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["squash", "crop", "pad"])
def test_orientation_tag_is_followed(orientation: int, kind: str) -> None:
    """A phone stores the rows as the sensor saw them, and how to turn them."""
    spec = InputSpec(24, 40, 3, kind)  # type: ignore[arg-type]
    stored_as = {
        1: [],
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }[orientation]
    stored = scene()
    for turn in stored_as:
        stored = stored.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    for image_format in ("PNG", "TIFF"):
        assert difference(read_photo(encoded(stored, image_format, exif=exif), spec), fit(scene(), spec)) < 1.5
    upright = decode(encoded(stored, exif=exif))
    assert upright.size == scene().size
    assert difference(np.asarray(upright), np.asarray(scene())) == 0


def test_the_size_of_an_upright_photo_comes_from_its_header() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    target = io.BytesIO()
    Image.new("RGB", (40, 30)).save(target, "JPEG", exif=exif)
    assert upright_size(target.getvalue()) == (30, 40)
    with pytest.raises(UnsupportedPhoto):
        upright_size(b"no image")


def test_fits() -> None:
    image = Image.new("RGB", (300, 100))
    image.paste((255, 255, 255), (100, 0, 200, 100))
    squash, crop, pad = (fit(image, InputSpec(30, 30, 3, kind)) for kind in ("squash", "crop", "pad"))  # type: ignore[arg-type]
    assert squash[15, 3].max() == 0
    assert squash[15, 15].min() == 255
    assert crop[:, 1:-1].min() == 255  # the middle third
    assert pad[:9].max() == 0  # black above and below
    assert pad[15, 15].min() == 255


def test_box_keeps_only_its_part() -> None:
    large = scene(2000, 1000)
    box = (1400.0, 0.0, 2000.0, 400.0)
    expected = fit(large.crop((1400, 0, 2000, 400)), SPEC)
    assert difference(read_photo(encoded(large), SPEC, box=box), expected) < 1
    assert difference(read_photo(encoded(large, "JPEG", quality=95), SPEC, box=box), expected) < 3
    beyond = read_photo(encoded(large), SPEC, box=(5000.0, 5000.0, 6000.0, 6000.0))
    assert beyond.shape == SPEC.shape


def test_large_jpeg_at_reduced_scale_gives_the_same_pixels() -> None:
    rng = np.random.default_rng(0)
    rough = Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)).resize(
        (3200, 2400), Image.Resampling.BICUBIC
    )
    photo = encoded(rough, "JPEG", quality=90)
    for kind in ("squash", "crop", "pad"):
        spec = InputSpec(128, 128, 3, kind)  # type: ignore[arg-type]
        assert difference(read_photo(photo, spec), fit(decode(photo), spec)) < 1


def test_transparent_parts_lie_over_white() -> None:
    clear = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    assert read_photo(encoded(clear), SPEC).min() == 255
    half = Image.new("LA", (40, 40), (0, 128))
    assert abs(int(read_photo(encoded(half), SPEC)[0, 0, 0]) - 127) <= 1
    palette = clear.convert("P")
    assert read_photo(encoded(palette, transparency=palette.getpixel((0, 0))), SPEC).min() == 255
    keyed = Image.new("RGB", (40, 40), (10, 20, 30))
    assert read_photo(encoded(keyed, transparency=(10, 20, 30)), SPEC).min() == 255


def test_deep_and_print_colours() -> None:
    ramp = np.linspace(0, 65535, 32 * 32).reshape(32, 32)
    expected = np.repeat((ramp / 257).round().astype(np.uint8)[..., None], 3, axis=2)
    assert difference(read_photo(encoded(Image.fromarray(ramp.astype(np.uint16))), SPEC), expected) < 1
    for values in (ramp.astype(np.int32), (ramp / 65535).astype(np.float32), (ramp / 257).astype(np.float32)):
        assert difference(read_photo(encoded(Image.fromarray(values), "TIFF"), SPEC), expected) < 1
    print_colours = scene().convert("CMYK")
    assert difference(read_photo(encoded(print_colours, "JPEG", quality=95), SPEC), fit(scene(), SPEC)) < 6
    bitmap = Image.new("1", (40, 40), 1)
    assert read_photo(encoded(bitmap), SPEC).min() == 255


def test_fitted_pixels_are_fitted_anew_for_another_network() -> None:
    pixels = np.zeros((2, 8, 8, 3), np.uint8)
    pixels[1, ..., 1] = 200
    larger = refit(pixels, InputSpec(16, 12, 3))
    assert larger.shape == (2, 16, 12, 3)
    assert (larger[1] == (0, 200, 0)).all()
    gray = refit(pixels, InputSpec(4, 4, 1))
    assert gray.shape == (2, 4, 4, 1)
    assert refit(gray, InputSpec(8, 8, 3)).shape == (2, 8, 8, 3)


def test_gray_network_takes_one_channel() -> None:
    spec = InputSpec(28, 28, 1)
    assert read_photo(encoded(scene()), spec).shape == (28, 28, 1)
    assert read_photo(encoded(scene().convert("L")), spec).shape == (28, 28, 1)


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue")]
    moving = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert tuple(read_photo(moving, SPEC)[0, 0]) == (255, 0, 0)


def test_no_image_is_unsupported() -> None:
    for junk in (
        b"hello, this is text",
        b"%PDF-1.7 ...",
        b"\x00" * 1000,
        encoded(scene(), "ICO"),
        encoded(scene(), "PPM"),
    ):
        with pytest.raises(UnsupportedPhoto, match="JPEG"):
            read_photo(junk, SPEC)


def test_empty_and_truncated_are_broken() -> None:
    with pytest.raises(BrokenPhoto, match="empty"):
        read_photo(b"", SPEC)
    for image_format in ("JPEG", "PNG", "WEBP", "GIF", "BMP"):
        whole = encoded(scene(), image_format)
        with pytest.raises(BrokenPhoto):
            read_photo(whole[: len(whole) // 2], SPEC)


@pytest.mark.slow
def test_pixel_bomb_is_refused_from_its_header() -> None:
    bomb = encoded(Image.new("1", (20_000, 20_000)))
    assert len(bomb) < 100_000
    with pytest.raises(PhotoTooLarge, match="million"):
        read_photo(bomb, SPEC)
    with pytest.raises(PhotoTooLarge, match="200 x 100"):
        read_photo(encoded(scene()), SPEC, limits=DecodingLimits(plain=200 * 100 - 1))
    assert read_photo(encoded(scene()), SPEC, limits=DecodingLimits(plain=200 * 100)).shape == SPEC.shape


def test_extreme_shapes() -> None:
    for size in ((1, 1), (5000, 1), (1, 5000)):
        for kind in ("squash", "crop", "pad"):
            assert read_photo(encoded(Image.new("RGB", size)), InputSpec(16, 16, 3, kind)).shape == (16, 16, 3)  # type: ignore[arg-type]


def test_damaged_bytes_raise_nothing_but_photo_errors() -> None:
    rng = random.Random(0)
    originals = [
        encoded(scene(), image_format) for image_format in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "HEIF")
    ]
    refused = 0
    for _ in range(400):
        damaged = bytearray(rng.choice(originals))
        for _ in range(rng.randint(1, 12)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        try:
            assert read_photo(bytes(damaged), SPEC).shape == SPEC.shape
        except PhotoError:
            refused += 1
    assert 0 < refused < 400


def test_large_photos_wait_for_each_other_and_small_ones_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def encoded(width: int, form: str, **options: object) -> bytes:
        target = io.BytesIO()
        Image.new("RGB", (width, 1000)).save(target, form, **options)
        return target.getvalue()

    asked: list[int] = []

    class Watched(Budget):
        def hold(self, part: int) -> AbstractContextManager[None]:
            asked.append(part)
            return super().hold(part)

    monkeypatch.setattr(loading, "DECODING", Watched(100_000_000))
    spec = InputSpec(32, 32)
    for photo in (encoded(4000, "PNG"), encoded(4000, "JPEG"), encoded(4000, "JPEG", progressive=True)):
        read_photo(photo, spec)
    read_photo(encoded(900, "PNG"), spec)
    lines = 5000 * 40  # for each row and column
    assert asked == [16_000_000 + lines, 12_250_000 + lines]  # the PNG, the coefficients of the progressive JPEG
    with pytest.raises(BrokenPhoto):
        read_photo(encoded(4000, "PNG")[:-200], spec)
    with loading.DECODING.hold(100_000_000):
        pass
