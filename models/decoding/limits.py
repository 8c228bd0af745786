"""What a photo may cost: the largest that is decoded, by format. Each takes under 500 MB and 3 s of one core."""

from typing import NamedTuple

from foodscene.models.decoding.errors import PhotoTooLarge
from foodscene.models.decoding.header import Header

_RGB = 3
_HELD_PROGRESSIVE = 4.2
"""Bytes of coefficients for each pixel of the largest progressive JPEG; 3 in 4:2:0, 6 in 4:4:4."""
_HELD_WEBP = 16.6
"""Bytes for each pixel of the largest WebP: 16 for its pictures, the rest for the file, which may be 17 MB."""
_WORK_PROGRESSIVE = 15
"""Scans of the largest progressive JPEG: cameras and programs write 10. Smaller ones may have more."""


class DecodingLimits(NamedTuple):
    """Pixels of the largest photo of each kind, width times height, scans of a progressive JPEG, and memory."""

    jpeg: int = 200_000_000
    """Baseline JPEG, which is decoded at a reduced scale."""
    progressive: int = 100_000_000
    """Progressive JPEG in 4:2:0, whose coefficients are all held; 7 tenths of it in 4:4:4."""
    heif: int = 50_000_000
    """HEIC and AVIF."""
    webp: int = 28_000_000
    plain: int = 50_000_000
    """PNG, TIFF, BMP and GIF with 3 bytes for a pixel; fewer where a pixel has more."""
    scans: int = 100
    held: int = 500_000_000
    """Bytes that decoding any of them may hold: large strips and tiles count, and each row and column."""

    def check(self, header: Header) -> None:
        """Raise `PhotoTooLarge` for what costs more, with the numbers and what to do."""
        kind, most = self._of(header)
        if header.pixels > most:
            raise PhotoTooLarge(
                f"The photo has {header.width} x {header.height} pixels; of a {kind}, "
                f"at most {most / 1e6:.3g} million are read. {self._advice(header)}"
            )
        if header.bytes > self.held:
            raise PhotoTooLarge(
                f"Decoding {header.width} x {header.height} pixels of such a {kind} takes {header.bytes / 1e6:,.0f} MB "
                f"of memory; at most {self.held / 1e6:,.0f} are used. {self._advice(header)}"
            )
        if header.scans > self.scans:
            raise PhotoTooLarge(
                f"The JPEG has {header.scans:,} scans; at most {self.scans} are read. Save it as a baseline JPEG."
            )
        if header.pixels * header.scans > self.progressive * _WORK_PROGRESSIVE and header.scans > 1:
            raise PhotoTooLarge(
                f"The JPEG has {header.scans} scans of {header.width} x {header.height} pixels; of that size at most "
                f"{self.progressive * _WORK_PROGRESSIVE // header.pixels} are read. Save it as a baseline JPEG."
            )

    def _of(self, header: Header) -> tuple[str, int]:
        """What such a photo is called, and the most pixels that it may have."""
        if header.format == "JPEG" and header.lossy_whole:
            return "progressive JPEG like it", min(
                self.progressive,
                int(self.progressive * _HELD_PROGRESSIVE / header.held),
            )
        if header.format == "JPEG" and header.scalable:
            return "JPEG", self.jpeg
        if header.format in ("HEIF", "AVIF"):
            return {"HEIF": "HEIC"}.get(header.format, header.format), self.heif
        if header.format == "WEBP":
            return "WebP", min(self.webp, int(self.webp * _HELD_WEBP / header.held))
        name = "lossless JPEG" if header.format == "JPEG" else header.format
        return f"{name} with {header.stored:g} bytes a pixel", int(self.plain * _RGB / max(_RGB, header.stored))

    def _advice(self, header: Header) -> str:
        if header.format == "JPEG" and not header.lossy_whole and header.scalable:
            return "Send a smaller copy."
        return "Save it as a baseline JPEG, or send a smaller copy."


LIMITS = DecodingLimits()
"""What is accepted unless the caller says otherwise."""
