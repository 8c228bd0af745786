"""The pages: asking about photos, and the models that answer. All of it works without JavaScript, for one photo."""

import asyncio
import base64
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from weakref import WeakKeyDictionary

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader

from foodscene.app.inference.registry import Model, Registry
from foodscene.app.pages import model_page
from foodscene.app.pages.preview import preview
from foodscene.app.problems import Problem
from foodscene.app.routes.forms import the_photo
from foodscene.app.service import Service
from foodscene.models.text import estimate, percent, spell, with_article

router = APIRouter(include_in_schema=False)


def duration(milliseconds: float) -> str:
    """A time in words."""
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds:.1f} ms" if milliseconds < 10 else f"{milliseconds:.0f} ms"


_templates = Environment(loader=PackageLoader("foodscene.app"), autoescape=True, trim_blocks=True, lstrip_blocks=True)
_hand = ThreadPoolExecutor(1, "page")
_written: WeakKeyDictionary[Model, tuple[str, bytes | memoryview]] = WeakKeyDictionary()
"""The pages of models, as long as these are in service, each with why the model goes without its fallback then."""
_templates.filters.update(percent=percent, estimate=estimate, spell=spell, duration=duration, with_article=with_article)


@router.get("/")
async def page(request: Request, model: str = "") -> HTMLResponse:
    """Ask about photos. `model` is the one that is chosen already."""
    return _page(request.app.state.service, model)


@router.post("/")
async def answered(request: Request) -> HTMLResponse:
    """The page with the answer for one photo: what its form sends where scripts are switched off."""
    service: Service = request.app.state.service
    name = ""
    try:
        service.scheduler.refuse_if_full()
        async with service.uploads.form(request) as form:
            name = form.fields.get("model", "")
            photo = the_photo(form)
            model = service.registry.get(name)
            answer = await service.predict(photo, model, request=request)
            shown = await _shown(photo, service, request)
    except Problem as problem:
        page = _page(service, name, problem=problem.detail)
        page.status_code = problem.status
        return page
    return _page(service, name, answer={**answer.as_json(), "title": model.bundle.title}, photo=shown)


async def _shown(photo: bytes, service: Service, request: Request) -> str | None:
    """The photo as an image's source, or None where too many previews wait: the answer is there without it."""
    try:
        shown = await preview(photo, service, request)
    except Problem as problem:
        if problem.kind in ("overloaded", "deadline-exceeded"):
            return None
        raise
    return f"data:image/jpeg;base64,{base64.b64encode(shown).decode()}"


@router.post("/preview")
async def previewed(request: Request) -> Response:
    """A small JPEG of a photo that the browser cannot decode."""
    service: Service = request.app.state.service
    service.previews.refuse_if_full()
    async with service.uploads.form(request) as form:
        shown = await preview(the_photo(form), service, request)
    return Response(shown, media_type="image/jpeg", headers={"cache-control": "no-store"})


@router.get("/models")
async def models(request: Request) -> HTMLResponse:
    """All models side by side, and the bundles that were refused."""
    service: Service = request.app.state.service
    return _render("models.html", service, models=_in_short(service.registry), refused=service.registry.refused)


@router.get("/models/{name}")
async def model(request: Request, name: str) -> HTMLResponse:
    """One model: its figures, its labels, its mistakes, and how it was trained."""
    service: Service = request.app.state.service
    try:
        found = service.registry.get(name)
    except Problem as problem:
        page = _render("problem.html", service, problem=problem.detail)
        page.status_code = problem.status
        return page
    lacking = service.registry.lacking(found)
    if not _is_written(found, lacking):
        await asyncio.get_running_loop().run_in_executor(_hand, _write, found, lacking, service)
    return HTMLResponse(_written[found][1])


def _is_written(found: Model, lacking: str) -> bool:
    return found in _written and _written[found][0] == lacking


def _write(found: Model, lacking: str, service: Service) -> None:
    """Write a model's page, once: it stays as it is, and of a model with many labels it takes long."""
    if _is_written(found, lacking):
        return
    columns, rows = model_page.per_class(found.bundle)
    settings = found.bundle.card.recipe.get("settings", found.bundle.card.recipe)
    page = _render(
        "model.html",
        service,
        model=found,
        bundle=found.bundle,
        figures=model_page.figures(found.bundle),
        columns=columns,
        rows=rows,
        confusion=found.confusion,
        facts=model_page.facts(found, lacking),
        recipe=model_page.toml(settings) if isinstance(settings, dict) else "",
    )
    _written[found] = lacking, page.body


def _page(service: Service, chosen: str, **more: Any) -> HTMLResponse:
    registry, settings = service.registry, service.settings
    return _render(
        "page.html",
        service,
        models=_in_short(registry),
        chosen=chosen if chosen in registry.models else registry.default,
        feedback=settings.feedback is not None,
        asks_key=bool(settings.api_keys),
        loading=not registry.complete,
        max_bytes=int(settings.max_upload_mb * 1e6),
        **more,
    )


def _in_short(registry: Registry) -> list[dict[str, Any]]:
    return [_short(model) for _, model in sorted(registry.models.items())]


def _short(model: Model) -> dict[str, Any]:
    bundle = model.bundle
    return {
        "name": model.name,
        "title": bundle.title,
        "domain": bundle.card.domain,
        "labels": bundle.labels,
        "metrics": bundle.card.metrics,
        "input": model_page.size(bundle),
        "side": max(bundle.spec.width, bundle.spec.height),
    }


def _render(template: str, service: Service, **context: Any) -> HTMLResponse:
    return HTMLResponse(_templates.get_template(template).render(context, root=service.settings.root_path))
