"""`POST /api/v1/predict` and `/predict/batch`: photos in, their labels out."""

import json
import time

from fastapi import APIRouter, Request
from fastapi.responses import Response

from foodscene.app.problems import Problem, responses
from foodscene.app.routes.fast_path import DirectRoute
from foodscene.app.routes.forms import MODEL, TOP_K, add_query, asked, described, the_photo, top_k
from foodscene.app.routes.schemas import AnswerBody, BatchBody
from foodscene.app.service import Service, answer

router = APIRouter(prefix="/api/v1", tags=["predict"], route_class=DirectRoute)


@router.post(
    "/predict",
    response_model=AnswerBody,
    responses=responses(400, 401, 404, 408, 413, 415, 422, 429, 503, 504),
    openapi_extra=described({"model": MODEL, "top_k": TOP_K}),
)
async def predict(request: Request) -> Response:
    """Say what is on a photo."""
    service: Service = request.app.state.service
    service.scheduler.refuse_if_full()
    async with asked(request, service) as form:
        add_query(form, request, "model", "top_k")
        photo, many = the_photo(form), top_k(form)
        found = await service.predict(photo, service.registry.get(form.fields.get("model")), many, request)
    return Response(json.dumps(found.as_json()), media_type="application/json")


@router.post(
    "/predict/batch",
    response_model=BatchBody,
    responses=responses(400, 401, 404, 408, 413, 415, 422, 429, 503, 504),
    openapi_extra=described({"model": MODEL, "top_k": TOP_K}, several=True),
)
async def predict_batch(request: Request) -> Response:
    """Say what is on each of several photos. One that cannot be read has its problem in its place."""
    service: Service = request.app.state.service
    service.scheduler.refuse_if_full()
    async with asked(request, service, int(service.settings.max_batch_upload_mb * 1e6)) as form:
        add_query(form, request, "model", "top_k")
        if not 1 <= len(form.files) <= service.settings.max_files:
            raise Problem("bad-parameter", f"files: send 1 to {service.settings.max_files}, not {len(form.files)}.")
        model, many = service.registry.get(form.fields.get("model")), top_k(form)
        started = time.perf_counter()
        outcomes = await service.look(form.files, model, request)
        results = [
            {"problem": outcome.body()}
            if isinstance(outcome, Problem)
            else {"answer": answer(model, outcome, many, started).as_json()}
            for outcome in outcomes
        ]
    return Response(json.dumps({"results": results}), media_type="application/json")
