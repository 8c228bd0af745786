"""Errors as RFC 9457 problem details: every one that a client can meet, with its status and its stable `type`."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from foodscene.app.metrics import PROBLEMS
from foodscene.models.pixels import PhotoError, PhotoTooLarge, UnsupportedPhoto

MEDIA_TYPE = "application/problem+json"


class ProblemType(NamedTuple):
    """A type of problem, as RFC 9457 has it: its HTTP status and what it is called in general."""

    status: int
    title: str


TYPES = {
    "broken-upload": ProblemType(400, "The upload is empty, damaged or cut short"),
    "bad-request": ProblemType(400, "The request cannot be read"),
    "key-required": ProblemType(401, "A valid API key is required"),
    "feedback-off": ProblemType(403, "No photos are kept here"),
    "foreign-origin": ProblemType(403, "Pages from elsewhere may not do this"),
    "unknown-model": ProblemType(404, "There is no such model"),
    "not-found": ProblemType(404, "There is nothing here"),
    "method-not-allowed": ProblemType(405, "This method is not allowed here"),
    "upload-too-slow": ProblemType(408, "The upload took too long"),
    "too-large": ProblemType(413, "The upload or the photo is too large"),
    "unsupported-photo": ProblemType(415, "Not an image that is read here"),
    "unsupported-media-type": ProblemType(415, "The body is of a type that is not read here"),
    "bad-parameter": ProblemType(422, "A parameter is missing or wrong"),
    "too-many-requests": ProblemType(429, "Too many requests from this client"),
    "internal-error": ProblemType(500, "Something went wrong in the service"),
    "model-failed": ProblemType(503, "The model gave no answer for this photo"),
    "overloaded": ProblemType(503, "The service is full at the moment"),
    "not-ready": ProblemType(503, "The service is starting or stopping"),
    "not-kept": ProblemType(503, "The photo could not be kept"),
    "deadline-exceeded": ProblemType(504, "The answer was not ready in time"),
}
"""By the last part of their `type`, which is `urn:foodscene:problem:<kind>`."""


class ProblemDetails(BaseModel):
    """RFC 9457 problem details. `type` is stable, `detail` is for people; `retry_after` is in seconds.

    `error` says the same as `detail`: the clients of KServe, Triton and Hugging Face look for it there.
    """

    type: str = Field(examples=["urn:foodscene:problem:unsupported-photo"])
    title: str = Field(examples=["Not an image that is read here"])
    status: int = Field(examples=[415])
    detail: str = Field(examples=["This is not an image that is read here. Send a JPEG."])
    error: str = Field(examples=["This is not an image that is read here. Send a JPEG."])
    retry_after: int | None = None


class Problem(Exception):
    """An error to be answered with: a kind from `TYPES`, what happened in words, and when to try again."""

    def __init__(self, kind: str, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.retry_after = kind, detail, retry_after

    @property
    def status(self) -> int:
        return TYPES[self.kind].status

    def body(self) -> dict[str, Any]:
        """The problem details as a JSON object."""
        status, title = TYPES[self.kind]
        retry = {} if self.retry_after is None else {"retry_after": self.retry_after}
        return {
            "type": f"urn:foodscene:problem:{self.kind}",
            "title": title,
            "status": status,
            "detail": self.detail,
            "error": self.detail,
            **retry,
        }

    def response(self, headers: Mapping[str, str] | None = None) -> Response:
        """The HTTP answer, which is counted."""
        PROBLEMS.labels(self.kind).inc()
        extra = dict(headers or {})
        if self.retry_after is not None:
            extra["retry-after"] = str(self.retry_after)
        if self.status == 401:
            extra.setdefault("www-authenticate", "Bearer")
        return Response(json.dumps(self.body()), self.status, extra, MEDIA_TYPE)


def of_photo(error: PhotoError) -> Problem:
    """The problem that a photo is."""
    if isinstance(error, UnsupportedPhoto):
        return Problem("unsupported-photo", str(error))
    return Problem("too-large" if isinstance(error, PhotoTooLarge) else "broken-upload", str(error))


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI description of the problems with these statuses."""
    return {
        status: {
            "description": "; or ".join(kind.title.lower() for kind in TYPES.values() if kind.status == status),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
        }
        for status in statuses
    }


def install(app: FastAPI) -> None:
    """Answer every error of the application with problem details."""

    async def problem(_: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)  # noqa: S101 - narrows what Starlette's signature leaves open
        return error.response()

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or "the request"
        return Problem("bad-parameter", f"{where}: {first['msg']}.").response()

    async def http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101
        kind = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "bad-request")
        return Problem(kind, f"{error.detail}.").response(error.headers)

    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
