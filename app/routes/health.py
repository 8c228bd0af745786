"""Whether the process lives, whether requests should be sent to it, and what it measures."""

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST

from foodscene.app.metrics import exposition
from foodscene.app.problems import Problem, responses

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def alive() -> dict[str, str]:
    """The process lives and answers. If this fails, restart it."""
    return {"status": "alive"}


@router.get("/readyz", responses=responses(503))
async def ready(request: Request) -> dict[str, str]:
    """The models are loaded and the service is not stopping. If this fails, send requests elsewhere."""
    service = request.app.state.service
    if service.ready:
        return {"status": "ready"}
    if service.draining:
        raise Problem("not-ready", "The service is stopping.", retry_after=5)
    if service.registry.complete:
        raise Problem("not-ready", "There is no usable model; /api/v1/models says why.", retry_after=5)
    raise Problem("not-ready", "The models are being loaded.", retry_after=1)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **responses(401, 429, 503)},
)
def metrics() -> Response:
    """What is measured, in Prometheus' text format."""
    return Response(exposition(), media_type=CONTENT_TYPE_LATEST)
