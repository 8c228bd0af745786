"""`POST /api/v1/explain`: which part of a photo decided."""

import asyncio
import json
import time

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import Response
from numpy.typing import NDArray

from foodscene.app.inference.occlusion import CELLS, area, covers, heat, occlude
from foodscene.app.inference.registry import Model
from foodscene.app.inference.scheduler import Pixels
from foodscene.app.problems import Problem, responses
from foodscene.app.routes.fast_path import DirectRoute
from foodscene.app.routes.forms import MODEL, add_query, asked, described, the_photo
from foodscene.app.routes.schemas import ExplanationBody
from foodscene.app.service import Service

router = APIRouter(prefix="/api/v1", tags=["explain"], route_class=DirectRoute)
_PORTION = 5  # photos that an engine is given at once: more take it more memory, and are no faster
LABEL = {
    "type": "string",
    "description": "The label to explain; the most probable one if left out.",
    "examples": ["forest"],
}


@router.post(
    "/explain",
    response_model=ExplanationBody,
    responses=responses(400, 401, 404, 408, 413, 415, 422, 429, 503, 504),
    openapi_extra=described({"model": MODEL, "label": LABEL}),
)
async def explain(request: Request) -> Response:
    """Say which part of a photo decided, as a heat map. It runs the network a hundred times."""
    service: Service = request.app.state.service
    service.explanations.refuse_if_full()
    started = time.perf_counter()
    async with asked(request, service) as form:
        add_query(form, request, "model", "label")
        photo, model = the_photo(form), service.registry.get(form.fields.get("model"))
        label = form.fields.get("label")
        if label is not None and label not in model.bundle.labels:
            raise Problem("bad-parameter", f"label: {model.name} has no label {label[:100]!r}.")
        async with service.deadline(request), service.explanations.turn():
            found = await _explain(service, model, photo, label)
    found["milliseconds"] = round((time.perf_counter() - started) * 1000, 2)
    return Response(json.dumps(found), media_type="application/json")


async def _explain(service: Service, model: Model, photo: bytes, label: str | None) -> dict[str, object]:
    (job,) = service.scheduler.submit(model.runner, [photo])
    (outcome,) = await service.outcomes([job])
    if isinstance(outcome, Problem):
        try:
            raise outcome
        finally:
            del outcome  # as in `Service.predict`
    probabilities = outcome.probabilities[0]
    wanted = int(probabilities.argmax()) if label is None else model.bundle.labels.index(label)
    if isinstance(job.photo, bytes):
        raise TypeError("a photo that was answered must have been decoded")
    covered = await _covered(service, model, job.photo[0], wanted)
    falls = heat(float(probabilities[wanted]), covered)
    strongest = float(falls.max())
    seen = await asyncio.to_thread(area, photo, model.bundle.spec)
    return {
        "model": model.name,
        "label": model.bundle.labels[wanted],
        "probability": round(float(probabilities[wanted]), 6),
        "grid": (falls / strongest if strongest > 0 else falls).round(3).tolist(),
        "strongest": round(strongest, 6),
        "area": [round(edge, 4) for edge in seen],
    }


async def _covered(service: Service, model: Model, pixels: Pixels, wanted: int) -> NDArray[np.float32]:
    """The probability of a label under each cover, of shape (covers,).

    Each session gets one portion at a time, so that others' photos get their turn between them, and the queue has room.
    """
    sessions = model.runner.sessions.count
    found: list[NDArray[np.float32]] = []
    for first in CELLS[:: _PORTION * sessions]:
        cells = CELLS[first : first + _PORTION * sessions]
        portions = await asyncio.to_thread(_portions, pixels, model, cells)
        outcomes = await service.outcomes(service.scheduler.submit(model.runner, portions))
        found += [portion.probabilities[:, wanted] for portion in outcomes if not isinstance(portion, Problem)]
    return np.concatenate(found)


def _portions(pixels: Pixels, model: Model, cells: range) -> list[Pixels]:
    """The photo with these cells covered, in portions."""
    starts = range(0, len(cells), _PORTION)
    return [occlude(pixels, covers(model.bundle.spec, cells[start : start + _PORTION])) for start in starts]
