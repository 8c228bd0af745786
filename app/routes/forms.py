"""What the fields of forms hold; and how the forms are described."""

from typing import Any

from foodscene.app.problems import Problem
from foodscene.app.uploads import Form

PHOTO = {"type": "string", "format": "binary", "description": "A JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC or AVIF."}
MODEL = {"type": "string", "description": "The model's name; the default one if left out.", "examples": ["everyday"]}
TOP_K = {"type": "integer", "minimum": 1, "maximum": 1000, "default": 5, "description": "How many labels to give."}


def form_schema(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    """The OpenAPI description of a multipart form, which the routes read themselves, under the limits."""
    schema = {"type": "object", "properties": properties, "required": required}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


def the_photo(form: Form) -> bytes:
    """The form's one file. Raises a `Problem` if there is none, or more."""
    if len(form.files) != 1:
        raise Problem("bad-parameter", f"file: the form has {len(form.files)} files; send the photo as `file`.")
    return form.files[0]


def top_k(form: Form) -> int:
    """The form's `top_k`, 5 if left out. Raises a `Problem` for what is not a number from 1 to 1000."""
    text = form.fields.get("top_k", "5")
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= 1000):
        raise Problem("bad-parameter", "top_k: give a whole number from 1 to 1000.")
    return int(text)
