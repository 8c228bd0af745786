"""PNG: its header, and the same photo without what says nothing of its first picture.

W3C PNG, third edition: chunks of a length, a type, a content and a checksum. Those whose type begins with a small
letter are ancillary, and a viewer passes over one that is damaged. An animation (APNG) has its frames in chunks of
their own; where a picture before its first frame is none of them, it is for viewers that show no animations.
"""

import zlib
from struct import pack, unpack_from
from typing import NamedTuple

from foodscene.models.decoding.errors import BrokenPhoto, PhotoTooLarge
from foodscene.models.decoding.header import Header

_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_MOST_CHUNKS = 30_000
_MOST_PROFILE = 4_000_000
_KEPT = {b"tRNS", b"eXIf"}
_MOST_KEPT = 65_536
"""Bytes of one of them: of an eXIf its beginning, where the orientation is."""
_ASKED = {*_KEPT, b"acTL", b"fcTL", b"iCCP", b"gAMA", b"sRGB"}
STANDARD_GAMMA = 0.45455


class Chunk(NamedTuple):
    """A chunk's type, and where its content begins and ends."""

    type: bytes
    start: int
    end: int

    @property
    def size(self) -> int:
        """Bytes of its content."""
        return self.end - self.start


class Tidied(NamedTuple):
    """A PNG that holds nothing but its first picture, and what was said of its colours."""

    photo: bytes
    depth: int
    """Bits of a sample."""
    profile: bytes | None
    gamma: float
    """The exponent that was applied to light; 0.45455, sRGB's, where nothing is said."""


def inspect(photo: bytes) -> Header:
    """A PNG's header. Raises as `inspection.inspect` does."""
    width, height, depth, colour = _head(photo)
    count = len(_chunks(photo))
    samples = _SAMPLES[colour]
    held = 4 if colour in (2, 4, 6) else 2 if depth == 16 else 1
    seconds = width * height * samples * max(1.0, depth / 8) * 12e-9 + count * 4e-6
    return Header("PNG", width, height, seconds, held=held, stored=samples * depth / 8)


def tidy(photo: bytes) -> Tidied:
    """Keep what the first picture needs, and of the ancillary chunks only sound ones.

    Raises `BrokenPhoto` where the picture is missing.
    """
    chunks = _chunks(photo)
    head = photo[chunks[0].start : chunks[0].end]
    data = next((number for number, chunk in enumerate(chunks) if chunk.type == b"IDAT"), None)
    if data is None:
        raise BrokenPhoto("The image is damaged or cut short: it has no picture in it.")
    before = {chunk.type: chunk for chunk in chunks[:data] if chunk.type in _ASKED and _sound(photo, chunk)}
    picture = [_chunk(b"IDAT", photo[chunk.start : chunk.end]) for chunk in chunks if chunk.type == b"IDAT"]
    if b"acTL" in before and b"fcTL" not in before and (frame := _first_frame(photo, chunks)):
        width, height, picture = frame
        head = pack(">II", width, height) + head[8:]
    palette = [photo[chunk.start - 8 : chunk.end + 4] for chunk in chunks[:data] if chunk.type == b"PLTE"]
    rest = [
        _chunk(chunk.type, photo[chunk.start : min(chunk.end, chunk.start + _MOST_KEPT)])
        for chunk in chunks
        if _keeps(photo, chunk, before)
    ]
    tidied = b"".join([photo[:8], _chunk(b"IHDR", head), *palette, *rest, *picture, _chunk(b"IEND", b"")])
    profile = _profile(photo[before[b"iCCP"].start : before[b"iCCP"].end]) if b"iCCP" in before else None
    gamma = STANDARD_GAMMA
    if b"gAMA" in before and b"sRGB" not in before and not profile and before[b"gAMA"].size == 4:
        gamma = unpack_from(">I", photo, before[b"gAMA"].start)[0] / 100_000
    return Tidied(tidied, photo[24], profile, gamma)


def _head(photo: bytes) -> tuple[int, int, int, int]:
    kind, width, height, depth, colour = unpack_from(">4sIIBB", photo, 12)
    if kind != b"IHDR" or colour not in _SAMPLES:
        raise BrokenPhoto("The image is damaged: its header is missing.")
    return width, height, depth, colour


def _chunks(photo: bytes) -> list[Chunk]:
    found = []
    place = 8
    while place + 8 <= len(photo):
        length, kind = unpack_from(">I4s", photo, place)
        found.append(Chunk(kind, place + 8, min(place + 8 + length, len(photo))))
        if kind == b"IEND":
            break
        if len(found) > _MOST_CHUNKS:
            raise PhotoTooLarge(f"The PNG has more than {_MOST_CHUNKS:,} chunks. Save it again.")
        place += 12 + length
    return found


def _keeps(photo: bytes, chunk: Chunk, before: dict[bytes, Chunk]) -> bool:
    """Whether the picture needs this ancillary chunk; an eXIf may come behind the picture."""
    if chunk.type not in _KEPT:
        return False
    return before.get(chunk.type) == chunk if chunk.type in before else chunk.type == b"eXIf" and _sound(photo, chunk)


def _sound(photo: bytes, chunk: Chunk) -> bool:
    return photo[chunk.end : chunk.end + 4] == pack(">I", zlib.crc32(photo[chunk.start - 4 : chunk.end]))


def _first_frame(photo: bytes, chunks: list[Chunk]) -> tuple[int, int, list[bytes]] | None:
    """Size and data of an animation's first frame; None where it has none."""
    control = next((number for number, chunk in enumerate(chunks) if chunk.type == b"fcTL"), None)
    if control is None:
        return None
    data = []
    for chunk in chunks[control + 1 :]:
        if chunk.type == b"fcTL":
            break
        if chunk.type == b"fdAT":  # four bytes of a number, then as in IDAT
            data.append(_chunk(b"IDAT", photo[chunk.start + 4 : chunk.end]))
    width, height = unpack_from(">II", photo, chunks[control].start + 4)
    across, down = unpack_from(">II", photo, 16)
    return (width, height, data) if data and 0 < width <= across and 0 < height <= down else None


def _profile(content: bytes) -> bytes | None:
    """The profile in an iCCP chunk: a name, a zero, a method, and the compressed profile. None for what is none."""
    _, _, packed = content.partition(b"\0")
    try:
        unpacking = zlib.decompressobj()
        profile = unpacking.decompress(packed[1:], _MOST_PROFILE)
    except zlib.error:
        return None
    return profile if unpacking.eof else None


def _chunk(kind: bytes, content: bytes) -> bytes:
    return pack(">I", len(content)) + kind + content + pack(">I", zlib.crc32(kind + content))


def in_eight_bits(transparent: int | bytes | tuple[int, ...], mode: str, depth: int) -> int | bytes | tuple[int, ...]:
    """The colour that stands for transparent, which the file has in its own depth, as Pillow scales pixels of it."""
    if isinstance(transparent, tuple) and depth == 16:
        return tuple(value >> 8 for value in transparent)
    if isinstance(transparent, int) and mode == "L" and depth < 8:
        return transparent * 255 // ((1 << depth) - 1)
    return transparent
