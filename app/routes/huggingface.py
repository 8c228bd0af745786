"""`POST /models/{name}`: what `huggingface_hub.InferenceClient.image_classification` sends and expects."""

import asyncio
import json

from fastapi import APIRouter, Request
from fastapi.responses import Response

from foodscene.app.problems import Problem, responses
from foodscene.app.routes.fast_path import DirectRoute
from foodscene.app.routes.forms import PHOTO
from foodscene.app.routes.json_bodies import JsonBody, from_base64
from foodscene.app.routes.schemas import ScoreBody
from foodscene.app.service import Service

router = APIRouter(tags=["hugging face"], route_class=DirectRoute)

_BODIES = {
    "image/jpeg": {"schema": PHOTO},
    "application/json": {
        "schema": {
            "type": "object",
            "required": ["inputs"],
            "properties": {
                "inputs": {"type": "string", "contentEncoding": "base64", "description": "The photo."},
                "parameters": {
                    "type": "object",
                    "properties": {"top_k": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 5}},
                },
            },
        }
    },
}


@router.post(
    "/models/{name}",
    response_model=list[ScoreBody],
    responses=responses(400, 401, 404, 408, 413, 415, 422, 429, 503, 504),
    openapi_extra={
        "requestBody": {"required": True, "content": _BODIES},
        "parameters": [{"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}],
    },
)
async def classify(request: Request) -> Response:
    """Say what is on a photo that is sent as it is, or as base64 in JSON with parameters."""
    service: Service = request.app.state.service
    service.scheduler.refuse_if_full()
    model = service.registry.get(request.path_params["name"])
    as_json = request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"
    async with service.uploads.body(request, copies=2 if as_json else 1) as body:
        photo, top_k = body, 5
        if as_json:
            async with service.deadline(request):
                photo, top_k = await asyncio.to_thread(_from_json, body)
        found = await service.predict(photo, model, top_k, request)
    scores = [{"label": label, "score": round(score, 6)} for label, score in found.predictions]
    return Response(json.dumps(scores), media_type="application/json")


def _from_json(body: bytes) -> tuple[bytes, int]:
    """The photo and how many labels to give. Raises a `Problem` for JSON that does not say it."""
    read = JsonBody(body)
    inputs, parameters = read.value(read.content.get("inputs")), read.content.get("parameters") or {}
    if not isinstance(inputs, str | memoryview):
        raise Problem("bad-parameter", "inputs: give the photo as base64.")
    top_k = parameters.get("top_k", 5) if isinstance(parameters, dict) else None
    if not isinstance(top_k, int) or isinstance(top_k, bool) or not 1 <= top_k <= 1000:
        raise Problem("bad-parameter", "parameters.top_k: give a whole number from 1 to 1000.")
    return from_base64(inputs, "inputs"), top_k
