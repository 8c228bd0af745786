"""Pictures for the browser tests, drawn when they are needed."""

from pathlib import Path

from PIL import Image, ImageDraw

COLOURS = {"red": (200, 40, 30), "green": (40, 160, 60), "blue": (40, 70, 200)}
UNDECIDED = (120, 120, 120)


def draw(colour: tuple[int, int, int], size: tuple[int, int] = (320, 240)) -> Image.Image:
    """A picture of one colour, with a lighter disc left of its middle."""
    image = Image.new("RGB", size, colour)
    edge = min(size) // 3
    left, top = size[0] // 4 - edge // 2, size[1] // 2 - edge // 2
    lighter = tuple(min(255, channel + 40) for channel in colour)
    ImageDraw.Draw(image).ellipse((left, top, left + edge, top + edge), fill=lighter)
    return image


def save(path: Path, name: str, size: tuple[int, int] = (320, 240)) -> Path:
    """Write the picture of the colour `name` in the format that the path's ending says."""
    draw(COLOURS[name], size).save(path)
    return path


def save_lying(path: Path, name: str, size: tuple[int, int]) -> Path:
    """Write a JPEG that lies on its side, with the EXIF tag that says how to turn it upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    draw(COLOURS[name], size).save(path, exif=exif)
    return path
