"""`POST /api/v1/feedback`: the right label for a photo, kept where the operator turned that on."""

import asyncio
import json

from fastapi import APIRouter, Request
from fastapi.responses import Response

from foodscene.app.feedback import MOST_PIXELS_A_SIDE
from foodscene.app.problems import Problem, of_photo, responses
from foodscene.app.routes.fast_path import DirectRoute
from foodscene.app.routes.forms import MODEL, add_query, asked, described, the_photo
from foodscene.app.routes.schemas import FeedbackBody
from foodscene.app.service import Service
from foodscene.models.pixels import PhotoError

router = APIRouter(prefix="/api/v1", tags=["feedback"], route_class=DirectRoute)
LABEL = {"type": "string", "description": "The right label, one of the model's.", "examples": ["forest"]}


@router.post(
    "/feedback",
    response_model=FeedbackBody,
    responses=responses(400, 401, 403, 404, 408, 413, 415, 422, 429, 503, 504),
    openapi_extra=described({"model": MODEL, "label": LABEL}, ["label"]),
)
async def feedback(request: Request) -> Response:
    """Give the right label for a photo. It is kept only if the operator set FOODSCENE_FEEDBACK."""
    service: Service = request.app.state.service
    kept = service.kept
    if kept is None:
        raise Problem("feedback-off", "Photos are not kept here; nothing was stored.")
    refuse_foreign_pages(request, service.settings.cors_origins)
    service.corrections.refuse_if_full()
    async with (
        asked(request, service) as form,
        service.deadline(request),
        service.corrections.turn(),
    ):
        add_query(form, request, "model", "label")
        photo, model = the_photo(form), service.registry.get(form.fields.get("model"))
        label = form.fields.get("label", "")
        if label not in model.bundle.labels:
            raise Problem("bad-parameter", f"label: {model.name} has no label {label[:100]!r}.")
        try:
            if await asyncio.to_thread(kept.is_full):
                raise Problem("feedback-off", "Enough photos are kept already; nothing was stored.")
            shrunk = await asyncio.to_thread(service.decoder.shrink, photo, MOST_PIXELS_A_SIDE)
            await asyncio.to_thread(kept.keep, shrunk, label)
        except PhotoError as error:
            raise of_photo(error) from error
        except OSError as error:
            raise Problem("not-kept", "The photo could not be written; the operator's disk may be full.") from error
    return Response(json.dumps({"kept": True}), media_type="application/json")


def refuse_foreign_pages(request: Request, allowed: tuple[str, ...]) -> None:
    """Raise a `Problem` where a browser says that a page of another origin sends this, none of `allowed`.

    Such a page could have everyone who visits it send photos. What is no browser names no origin.
    """
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    if origin in allowed:
        return
    if site is not None:
        foreign = site not in ("same-origin", "none")
    else:
        foreign = origin is not None and origin.partition("://")[2].lower() != request.headers.get("host", "").lower()
    if foreign:
        raise Problem("foreign-origin", "A page of another origin may not send corrections; nothing was stored.")
