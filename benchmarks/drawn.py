"""Photos as bytes, written part by part where Pillow would not write them so."""

import io
import struct
import zlib

from PIL import Image, ImageDraw

PNG = b"\x89PNG\r\n\x1a\n"


def scene(width: int = 200, height: int = 100) -> Image.Image:
    """A made-up photo without symmetry: red on the left, a blue spot at the top right."""
    image = Image.new("RGB", (width, height), (40, 160, 60))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, width // 3, height), fill=(200, 30, 30))
    draw.ellipse((width * 0.7, 0, width, height * 0.4), fill=(20, 40, 220))
    return image


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    target = io.BytesIO()
    image.save(target, form, **options)
    return target.getvalue()


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, *, depth: int = 8, colour: int = 2, before: bytes = b"") -> bytes:
    """A black PNG of any size, in little memory: its rows are compressed one by one."""
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = bytes(1 + (width * samples * depth + 7) // 8)
    packing = zlib.compressobj()
    data = b"".join([*(packing.compress(row) for _ in range(height)), packing.flush()])
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return PNG + chunk(b"IHDR", head) + before + chunk(b"IDAT", data) + chunk(b"IEND")


def with_chunk(photo: bytes, added: bytes) -> bytes:
    """A PNG with a chunk behind its header."""
    return photo[:33] + added + photo[33:]


def tiff(tags: dict[int, tuple[int, int, int]], data: bytes, order: str = "<") -> bytes:
    """A TIFF of tags, each a type, a count and a value, with `data` at place 1000."""
    directory = b"".join(struct.pack(order + "HHII", number, *tag) for number, tag in sorted(tags.items()))
    if order == ">":  # a short lies at the beginning of its four bytes
        directory = b"".join(
            struct.pack(">HHI", number, kind, many)
            + (struct.pack(">HH", value, 0) if kind == 3 and many == 1 else struct.pack(">I", value))
            for number, (kind, many, value) in sorted(tags.items())
        )
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    body = start + struct.pack(order + "H", len(tags)) + directory + bytes(4)
    return body.ljust(1000, b"\0") + data


def gray_tiff(width: int, height: int) -> dict[int, tuple[int, int, int]]:
    """The tags of an 8-bit gray TIFF in one strip."""
    return {
        256: (4, 1, width),
        257: (4, 1, height),
        258: (3, 1, 8),
        259: (3, 1, 1),
        262: (3, 1, 1),
        273: (4, 1, 1000),
        277: (3, 1, 1),
        278: (4, 1, height),
        279: (4, 1, width * height),
    }


def segments(photo: bytes) -> list[bytes]:
    """A JPEG's segments, each scan with its data, and the end."""
    found, place = [photo[:2]], 2
    while photo[place + 1] != 0xD9:
        end = place + 2 + struct.unpack_from(">H", photo, place + 2)[0]
        if photo[place + 1] == 0xDA:
            while photo[end] != 0xFF or photo[end + 1] in (0, *range(0xD0, 0xD8)):
                end += 1
        found.append(photo[place:end])
        place = end
    return [*found, photo[place:]]
