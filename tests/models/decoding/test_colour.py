"""Colours by their profile, or by a PNG's gamma."""

import struct
import time
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms

from benchmarks.drawn import chunk, encoded, scene, with_chunk
from foodscene.models.pixels import InputSpec, decode, read_photo

SPEC = InputSpec(32, 32)
# White point and primaries as x, y, and gamma: Adobe RGB (1998), 4.3.1; ProPhoto (ISO 22028-2), whose white is D50.
ADOBE = ((0.3127, 0.3290), (0.64, 0.33), (0.21, 0.71), (0.15, 0.06), 2.2)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def s15(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def matrix_profile(rows: np.ndarray, gamma: float, space: bytes = b"RGB ") -> bytes:
    """An ICC profile, version 2, of three colorants to XYZ (ICC.1:2001-04) and one gamma for all."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    white = b"XYZ " + bytes(4) + s15(0.9642) + s15(1) + s15(0.8249)
    text = b"desc" + bytes(4) + struct.pack(">I", 2) + b"a\0" + bytes(80)
    tags = {b"wtpt": white, b"desc": text, b"cprt": b"text" + bytes(4) + b"none"}
    if space == b"RGB ":
        for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), rows.T, strict=True):
            tags[name] = b"XYZ " + bytes(4) + b"".join(map(s15, column))
        tags |= {b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    else:
        tags[b"kTRC"] = curve
    return profile_of(tags, space)


def profile_of(tags: dict[bytes, bytes], space: bytes = b"RGB ") -> bytes:
    place = 128 + 4 + 12 * len(tags)
    table, data = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += name + struct.pack(">II", place + len(data), len(content))
        data += content.ljust(-(-len(content) // 4) * 4, b"\0")
    head = bytes(4) + struct.pack(">I", 0x02400000) + b"mntr" + space + b"XYZ " + bytes(12) + b"acsp" + bytes(28)
    head = (head + s15(0.9642) + s15(1) + s15(0.8249)).ljust(124, b"\0")
    return struct.pack(">I", 4 + len(head) + len(table) + len(data)) + head + table + data


def steps(count: int) -> bytes:
    """A tag of so many steps, which are all the same matrix (ICC.1:2022, 10.16)."""
    matrix = b"matf" + bytes(4) + struct.pack(">HH12f", 3, 3, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0)
    place = struct.pack(">II", 16 + 8 * count, len(matrix))
    return b"mpet" + bytes(4) + struct.pack(">HHI", 3, 3, count) + place * count + matrix


# Adobe RGB's colorants, adapted to D50 as its profile has them.
ADOBE_COLORANTS = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
ADOBE_RGB = matrix_profile(ADOBE_COLORANTS, 563 / 256)
LINEAR_RGB = matrix_profile(ADOBE_COLORANTS, 1.0)
LINEAR_GRAY = matrix_profile(np.zeros((3, 3)), 1.0, b"GRAY")


def tags_of(profile: bytes) -> dict[bytes, bytes]:
    entries = struct.iter_unpack(">4sII", profile[132 : 132 + 12 * struct.unpack_from(">I", profile, 128)[0]])
    return {name: profile[place : place + size] for name, place, size in entries}


def difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(float) - other.astype(float)).mean())


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_a_photo_in_adobe_rgb_looks_as_its_twin_in_srgb(form: str) -> None:
    profile = ImageCms.ImageCmsProfile(BytesIO(ADOBE_RGB))
    twin = scene().resize((64, 32))
    stored = ImageCms.profileToProfile(twin, SRGB, profile)
    options = {"quality": 95} if form in ("JPEG", "WEBP", "AVIF", "HEIF") else {}
    plain = read_photo(encoded(twin, form, **options), SPEC)
    assert difference(np.asarray(stored), np.asarray(twin)) > 15
    assert difference(read_photo(encoded(stored, form, icc_profile=ADOBE_RGB, **options), SPEC), plain) < 3


def test_srgb_s_own_profile_changes_nothing() -> None:
    for form in ("JPEG", "PNG"):
        plain = decode(encoded(scene(), form))
        assert (
            difference(np.asarray(decode(encoded(scene(), form, icc_profile=SRGB.tobytes()))), np.asarray(plain)) == 0
        )


@pytest.mark.parametrize(
    "profile", [b"no profile", ADOBE_RGB[:200], ADOBE_RGB[:140] + b"\xff" * 300, b"\0" * 5_000_000]
)
def test_a_damaged_profile_is_passed_over(profile: bytes) -> None:
    photo = encoded(scene())
    assert difference(read_photo(encoded(scene(), icc_profile=profile), SPEC), read_photo(photo, SPEC)) == 0


@pytest.mark.parametrize("tag", [b"D2B0", b"D2B1", b"D2B3"])
def test_a_profile_of_a_flood_of_steps_costs_nothing(tag: bytes) -> None:
    photo = encoded(scene(), icc_profile=profile_of({tag: steps(300_000)}))
    assert len(photo) < 20_000
    started = time.process_time()
    assert difference(read_photo(photo, SPEC), read_photo(encoded(scene()), SPEC)) == 0
    assert time.process_time() - started < 0.5


def test_what_browsers_read_of_a_profile_is_followed_beside_steps() -> None:
    photo, tags = encoded(scene(), icc_profile=ADOBE_RGB), tags_of(ADOBE_RGB)
    beside = encoded(scene(), icc_profile=profile_of({**tags, b"D2B0": steps(1)}))
    assert difference(read_photo(beside, SPEC), read_photo(photo, SPEC)) == 0


def test_a_profile_of_another_kind_of_colour_is_passed_over() -> None:
    coloured = encoded(scene(), icc_profile=LINEAR_GRAY)
    assert difference(read_photo(coloured, SPEC), read_photo(encoded(scene()), SPEC)) == 0


@pytest.mark.parametrize("mode", ["L", "LA"])
@pytest.mark.parametrize("profile", [LINEAR_GRAY, LINEAR_RGB], ids=["gray", "RGB, as browsers follow it"])
def test_a_profile_of_gray_is_followed(mode: str, profile: bytes) -> None:
    photo = encoded(Image.new(mode, (40, 40), 55 if mode == "L" else (55, 255)), icc_profile=profile)
    assert abs(int(read_photo(photo, SPEC)[0, 0, 0]) - 128) <= 1  # sRGB's half is 0.2140 of the light, IEC 61966-2-1
    assert read_photo(photo, InputSpec(8, 8, 1)).shape == (8, 8, 1)


def test_black_borders_stay_black() -> None:
    photo = encoded(Image.new("RGB", (100, 50), (200, 30, 30)), icc_profile=ADOBE_RGB)
    assert read_photo(photo, InputSpec(32, 32, 3, "pad"))[:6].max() == 0


@pytest.mark.parametrize(("gamma", "expected"), [(1.0, 186), (0.45455, 128), (0.47, 128), (0.55556, 145)])
def test_a_png_s_gamma_is_followed(gamma: float, expected: int) -> None:
    photo = with_chunk(
        encoded(Image.new("RGB", (40, 40), (128, 128, 128))), chunk(b"gAMA", struct.pack(">I", round(gamma * 100_000)))
    )
    assert abs(int(read_photo(photo, SPEC)[0, 0, 0]) - expected) <= 1
    assert read_photo(with_chunk(photo, chunk(b"sRGB", b"\0")), SPEC)[0, 0, 0] == 128


def test_a_gamma_without_a_value_is_passed_over() -> None:
    photo = with_chunk(encoded(scene()), chunk(b"gAMA", b""))
    assert difference(read_photo(photo, SPEC), read_photo(encoded(scene()), SPEC)) == 0
