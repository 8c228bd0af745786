"""`POST /api/v1/predict` and `/predict/batch`: photos in, their labels out."""

import json
import time
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from foodscene.app.lean import LeanRoute
from foodscene.app.problems import Problem, responses
from foodscene.app.routes.schemas import AnswerBody, BatchBody
from foodscene.app.service import Service, answer
from foodscene.app.uploads import Form

router = APIRouter(prefix="/api/v1", tags=["predict"], route_class=LeanRoute)


def form_schema(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    """The OpenAPI description of a multipart form, which the routes read themselves, under the limits."""
    schema = {"type": "object", "properties": properties, "required": required}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


PHOTO = {"type": "string", "format": "binary", "description": "A JPEG, PNG, WebP, GIF, BMP, TIFF or HEIC."}
MODEL = {"type": "string", "description": "The model's name; the default one if left out.", "examples": ["everyday"]}
TOP_K = {"type": "integer", "minimum": 1, "maximum": 1000, "default": 5, "description": "How many labels to give."}


@router.post(
    "/predict",
    response_model=AnswerBody,
    responses=responses(400, 401, 404, 408, 413, 415, 422, 429, 503, 504),
    openapi_extra=form_schema({"file": PHOTO, "model": MODEL, "top_k": TOP_K}, ["file"]),
)
async def predict(request: Request) -> Response:
    """Say what is on a photo."""
    service: Service = request.app.state.service
    service.scheduler.refuse_if_full()
    async with service.uploads.form(request) as form:
        photo, many = the_photo(form), top_k(form)
        found = await service.predict(photo, service.library.get(form.fields.get("model")), many, request)
    return Response(json.dumps(found.as_json()), media_type="application/json")


@router.post(
    "/predict/batch",
    response_model=BatchBody,
    responses=responses(400, 401, 404, 408, 413, 415, 422, 429, 503, 504),
    openapi_extra=form_schema(
        {"files": {"type": "array", "items": PHOTO, "minItems": 1}, "model": MODEL, "top_k": TOP_K}, ["files"]
    ),
)
async def predict_batch(request: Request) -> Response:
    """Say what is on each of several photos. One that cannot be read has its problem in its place."""
    service: Service = request.app.state.service
    service.scheduler.refuse_if_full()
    async with service.uploads.form(request) as form:
        if not 1 <= len(form.files) <= service.settings.max_files:
            raise Problem("bad-parameter", f"files: send 1 to {service.settings.max_files}, not {len(form.files)}.")
        model, many = service.library.get(form.fields.get("model")), top_k(form)
        started = time.perf_counter()
        outcomes = await service.finish(service.scheduler.submit(model.runner, form.files), request)
        results = [
            {"problem": outcome.body()}
            if isinstance(outcome, Problem)
            else {"answer": answer(model, outcome, many, started).as_json()}
            for outcome in outcomes
        ]
    return Response(json.dumps({"results": results}), media_type="application/json")


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
