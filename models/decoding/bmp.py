"""BMP: its header."""

from struct import unpack_from

from foodscene.models.decoding.errors import PhotoTooLarge
from foodscene.models.decoding.header import Header

_RUN_LENGTHS = {1, 2}  # BI_RLE8, BI_RLE4
_MOST_RUNS = 2_000_000
"""Bytes of run-length data, which Pillow decodes in Python, at half a microsecond each."""


def inspect(photo: bytes) -> Header:
    """A BMP's header. Raises as `inspection.inspect` does."""
    offset, size = unpack_from("<II", photo, 10)
    compression = 0
    if size == 12:  # OS/2
        width, height, _, bits = unpack_from("<HHHH", photo, 18)
    else:
        width, height, _, bits, compression = unpack_from("<iiHHI", photo, 18)
    height = abs(height)  # negative: from the top down
    seconds = width * height * 8e-9
    if compression in _RUN_LENGTHS:
        runs = len(photo) - offset
        if runs > _MOST_RUNS:
            raise PhotoTooLarge(
                f"The BMP has {runs / 1e6:.1f} MB of run-length data; at most {_MOST_RUNS / 1e6:g} are read. "
                "Save it as a PNG."
            )
        seconds = runs * 0.6e-6 + width * height * 10e-9
    held = 4 if bits > 8 or compression in _RUN_LENGTHS else 2
    return Header("BMP", width, height, seconds, held=held, stored=bits / 8)
