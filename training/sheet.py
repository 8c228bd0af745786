"""Sheets of many small pictures."""

from collections.abc import Sequence

from PIL import Image


def grid(tiles: Sequence[Image.Image], columns: int, *, gap: int, background: str | None = "white") -> Image.Image:
    """Pictures of one size in rows of `columns`, with `gap` pixels between them; transparent without a background."""
    width, height = tiles[0].size
    rows = -(-len(tiles) // columns)
    size = columns * (width + gap) - gap, rows * (height + gap) - gap
    sheet = Image.new("RGB", size, background) if background else Image.new("RGBA", size)
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (number % columns * (width + gap), number // columns * (height + gap)))
    return sheet
