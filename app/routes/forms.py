"""What a request asks about photos: a form, JSON, or the photo as it is, each with a query; and how it is described."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl

from fastapi import Request

from foodscene.app.problems import Problem
from foodscene.app.routes.json_bodies import JsonBody, from_base64, off_the_loop
from foodscene.app.service import Service
from foodscene.app.uploads import Form

PHOTO = {"type": "string", "format": "binary", "description": "A JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC or AVIF."}
BASE64 = {
    "type": "string",
    "contentEncoding": "base64",
    "description": "The photo as base64, or as a data URL.",
    "examples": ["/9j/4AAQSkZJRgABAQ…"],
}
MODEL = {"type": "string", "description": "The model's name; the default one if left out.", "examples": ["everyday"]}
TOP_K = {
    "type": "integer",
    "minimum": 1,
    "maximum": 1000,
    "default": 5,
    "description": "How many labels to give.",
    "examples": [3],
}


def described(fields: dict[str, Any], required: Sequence[str] = (), *, several: bool = False) -> dict[str, Any]:
    """The OpenAPI description of a request that `asked` reads, with these fields beside its photo or photos."""
    name = "files" if several else "file"

    def body(photo: dict[str, Any]) -> dict[str, Any]:
        held = {"type": "array", "items": photo, "minItems": 1} if several else photo
        return {"type": "object", "properties": {name: held, **fields}, "required": [name, *required]}

    query = [
        {"name": field, "in": "query", "required": False, "schema": schema, "description": schema["description"]}
        for field, schema in fields.items()
    ]
    example = {field: schema["examples"][0] for field, schema in fields.items()}
    photo = BASE64["examples"][0]
    content = {
        "multipart/form-data": {"schema": body(PHOTO)},
        "image/jpeg": {"schema": PHOTO},
        "application/octet-stream": {"schema": PHOTO},
        "application/json": {
            "schema": {**body(BASE64), "additionalProperties": False},
            "example": {name: [photo] if several else photo, **example},
        },
    }
    return {"parameters": query, "requestBody": {"required": True, "content": content}}


def asked(request: Request, service: Service, most: int | None = None) -> AbstractAsyncContextManager[Form]:
    """What a request's body holds, as a form, which counts as held until the block ends; it may have `most` bytes.

    Raises as `Uploads.form`, and for JSON as `JsonBody` and `from_base64`.
    """
    kind = request.headers.get("content-type", "")
    if kind.startswith("multipart/form-data"):
        return service.uploads.form(request, most)
    kind = kind.partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        return _from_json(request, service, most)
    if not kind or kind.startswith("image/") or kind.endswith("/octet-stream"):
        return _as_it_is(request, service, most, named=bool(kind))
    return service.uploads.form(request, most)


@asynccontextmanager
async def _as_it_is(request: Request, service: Service, most: int | None, *, named: bool) -> AsyncIterator[Form]:
    async with service.uploads.body(request, most=most) as photo:
        yield Form(files=[photo] if photo or named else [])  # else a request without a body


@asynccontextmanager
async def _from_json(request: Request, service: Service, most: int | None) -> AsyncIterator[Form]:
    async with service.uploads.body(request, copies=2, most=most) as body:
        async with service.deadline(request):  # a large body takes long to take apart, so that others would notice
            form = await off_the_loop(lambda: _form(body), len(body))
        yield form


def _form(body: bytes) -> Form:
    """The form that is meant by JSON: `file` or `files` as base64, and fields."""
    read, form = JsonBody(body), Form()
    for name, value in read.content.items():
        given = read.value(value)
        if name in ("file", "files"):
            texts = given if isinstance(given, list) else [given]
            form.files += [from_base64(read.value(text), name) for text in texts]
        elif name not in ("model", "top_k", "label"):
            raise Problem("bad-parameter", f"{name[:80]}: is not asked for. Send the photo as base64 in `file`.")
        elif isinstance(given, str | int) and not isinstance(given, bool):
            form.fields[name] = str(given)
        elif given is not None:
            raise Problem("bad-parameter", f"{name}: give a text or a whole number.")
    return form


def query(request: Request, *known: str) -> dict[str, str]:
    """The query's parameters. Raises a `Problem` for one that is not known, or that is there twice and differs."""
    found: dict[str, str] = {}
    text: bytes = request.scope["query_string"]
    for name, value in parse_qsl(text.decode("latin-1"), keep_blank_values=True) if text else ():
        if name not in known:
            there = " and ".join(known) or "none"
            raise Problem("bad-parameter", f"{name[:80]}: is no query parameter of this route; there is {there}.")
        if found.setdefault(name, value) != value:
            raise Problem("bad-parameter", f"{name}: is in the query twice.")
    return found


def add_query(form: Form, request: Request, *known: str) -> None:
    """Add the query's parameters to a form's fields. Raises a `Problem` as `query`, and where the two differ."""
    for name, value in query(request, *known).items():
        if form.fields.setdefault(name, value) != value:
            raise Problem("bad-parameter", f"{name}: the query says another than the body.")


def the_photo(form: Form) -> bytes:
    """The form's one file. Raises a `Problem` if there is none, or more."""
    if len(form.files) != 1:
        there = f"there are {len(form.files)} photos" if form.files else "there is no photo"
        raise Problem("bad-parameter", f"file: {there}; send one as `file`.")
    return form.files[0]


def top_k(form: Form) -> int:
    """The form's `top_k`, 5 if left out. Raises a `Problem` for what is not a number from 1 to 1000."""
    return as_top_k(form.fields.get("top_k", "5"))


def as_top_k(text: str) -> int:
    """A number from 1 to 1000. Raises a `Problem` for what is none."""
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= 1000):
        raise Problem("bad-parameter", "top_k: give a whole number from 1 to 1000.")
    return int(text)
