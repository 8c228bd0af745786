"""`POST /models/{name}`: what `huggingface_hub.InferenceClient.image_classification` sends and expects."""

import json

from fastapi import APIRouter, Request
from fastapi.responses import Response

from foodscene.app.problems import Problem, responses
from foodscene.app.routes.fast_path import DirectRoute
from foodscene.app.routes.forms import BASE64, PHOTO, TOP_K, as_top_k, query
from foodscene.app.routes.json_bodies import JsonBody, from_base64, off_the_loop
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
                "inputs": BASE64,
                "parameters": {"type": "object", "properties": {"top_k": TOP_K}},
            },
        },
        "example": {"inputs": BASE64["examples"][0], "parameters": {"top_k": 3}},
    },
}


@router.post(
    "/models/{name}",
    response_model=list[ScoreBody],
    responses=responses(400, 401, 404, 408, 413, 415, 422, 429, 503, 504),
    openapi_extra={
        "requestBody": {"required": True, "content": _BODIES},
        "parameters": [
            {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}},
            {"name": "top_k", "in": "query", "schema": TOP_K, "description": TOP_K["description"]},
        ],
    },
)
async def classify(request: Request) -> Response:
    """Say what is on a photo that is sent as it is, or as base64 in JSON with parameters."""
    service: Service = request.app.state.service
    service.scheduler.refuse_if_full()
    model = service.registry.get(request.path_params["name"])
    as_json = request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"
    async with service.uploads.body(request, copies=2 if as_json else 1) as body:
        photo, top_k = body, None
        if as_json:
            async with service.deadline(request):
                photo, top_k = await off_the_loop(lambda: _from_json(body), len(body))
        if (text := query(request, "top_k").get("top_k")) is not None:
            if top_k not in (None, as_top_k(text)):
                raise Problem("bad-parameter", "top_k: the query says another than the body.")
            top_k = as_top_k(text)
        found = await service.predict(photo, model, 5 if top_k is None else top_k, request, alone=True)
    scores = [{"label": label, "score": round(score, 6)} for label, score in found.predictions]
    return Response(json.dumps(scores), media_type="application/json")


def _from_json(body: bytes) -> tuple[bytes, int | None]:
    """The photo, and how many labels to give if it says so. Raises a `Problem` for JSON that does not say it."""
    read = JsonBody(body)
    inputs, parameters = read.value(read.content.get("inputs")), read.content.get("parameters") or {}
    if not isinstance(inputs, str | memoryview):
        raise Problem("bad-parameter", "inputs: give the photo as base64.")
    top_k = parameters.get("top_k") if isinstance(parameters, dict) else 0
    if top_k is None:
        return from_base64(inputs, "inputs"), None
    if not isinstance(top_k, int) or isinstance(top_k, bool) or not 1 <= top_k <= 1000:
        raise Problem("bad-parameter", "parameters.top_k: give a whole number from 1 to 1000.")
    return from_base64(inputs, "inputs"), top_k
