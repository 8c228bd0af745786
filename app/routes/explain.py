"""`POST /api/v1/explain`: which part of a photo decided."""

import asyncio
import json
import time

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import Response

from foodscene.app.inference.occlusion import GRID, area, covers, heat, occlude
from foodscene.app.inference.registry import Model
from foodscene.app.inference.scheduler import Pixels
from foodscene.app.problems import Problem, responses
from foodscene.app.routes.fast_path import DirectRoute
from foodscene.app.routes.forms import MODEL, PHOTO, form_schema, the_photo
from foodscene.app.routes.schemas import ExplanationBody
from foodscene.app.service import Service

router = APIRouter(prefix="/api/v1", tags=["explain"], route_class=DirectRoute)
_PORTIONS = GRID * GRID // 5  # of five photos each: larger ones take an engine more memory, and are no faster
LABEL = {"type": "string", "description": "The label to explain; the most probable one if left out."}


@router.post(
    "/explain",
    response_model=ExplanationBody,
    responses=responses(400, 401, 404, 408, 413, 415, 422, 429, 503, 504),
    openapi_extra=form_schema({"file": PHOTO, "model": MODEL, "label": LABEL}, ["file"]),
)
async def explain(request: Request) -> Response:
    """Say which part of a photo decided, as a heat map. It runs the network a hundred times."""
    service: Service = request.app.state.service
    service.scheduler.refuse_if_full(_PORTIONS)
    started = time.perf_counter()
    async with service.uploads.form(request) as form:
        photo, model = the_photo(form), service.registry.get(form.fields.get("model"))
        label = form.fields.get("label")
        if label is not None and label not in model.bundle.labels:
            raise Problem("bad-parameter", f"label: {model.name} has no label {label[:100]!r}.")
        found = await _explain(service, model, photo, label, request)
    found["milliseconds"] = round((time.perf_counter() - started) * 1000, 2)
    return Response(json.dumps(found), media_type="application/json")


async def _explain(
    service: Service, model: Model, photo: bytes, label: str | None, request: Request
) -> dict[str, object]:
    (job,) = service.scheduler.submit(model.runner, [photo])
    (outcome,) = await service.finish([job], request)
    if isinstance(outcome, Problem):
        try:
            raise outcome
        finally:
            del outcome  # as in `Service.predict`
    wanted = int(outcome[0].argmax()) if label is None else model.bundle.labels.index(label)
    if isinstance(job.photo, bytes):
        raise TypeError("a photo that was answered must have been decoded")
    portions = await asyncio.to_thread(_portions, job.photo[0], model)
    outcomes = await service.finish(service.scheduler.submit(model.runner, portions), request)
    covered = np.concatenate([portion for portion in outcomes if not isinstance(portion, Problem)])[:, wanted]
    falls = heat(float(outcome[0, wanted]), covered)
    strongest = float(falls.max())
    return {
        "model": model.name,
        "label": model.bundle.labels[wanted],
        "probability": round(float(outcome[0, wanted]), 6),
        "grid": (falls / strongest if strongest > 0 else falls).round(3).tolist(),
        "strongest": round(strongest, 6),
        "area": [round(edge, 4) for edge in area(photo, model.bundle.spec)],
    }


def _portions(pixels: Pixels, model: Model) -> list[Pixels]:
    """The covered photos, in portions, so that other requests' photos get their turn between them."""
    return [occlude(pixels, masks) for masks in np.split(covers(model.bundle.spec), _PORTIONS)]
