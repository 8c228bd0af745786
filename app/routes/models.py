"""`GET /api/v1/models`: what is served, and what was refused."""

from typing import Any

from fastapi import APIRouter, Request

from foodscene.app.inference.registry import Model, Registry
from foodscene.app.problems import responses
from foodscene.app.routes.schemas import ModelPageBody, ModelsBody

router = APIRouter(prefix="/api/v1/models", tags=["models"])


@router.get("", response_model=ModelsBody)
async def models(request: Request) -> dict[str, Any]:
    """List the models in service, and the bundles that cannot be used with the reason why."""
    registry: Registry = request.app.state.service.registry
    return {
        "default": registry.default,
        "models": [describe(model, registry) for _, model in sorted(registry.models.items())],
        "refused": [{"name": name, "reason": reason} for name, reason in sorted(registry.refused.items())],
    }


@router.get("/{name}", response_model=ModelPageBody, responses=responses(404, 422, 503))
async def model(name: str, request: Request) -> dict[str, Any]:
    """One model, with its whole card."""
    registry: Registry = request.app.state.service.registry
    found = registry.get(name)
    return {**describe(found, registry), "card": found.bundle.card.model_dump(mode="json", exclude_none=True)}


def describe(model: Model, registry: Registry) -> dict[str, Any]:
    """A model in short, as `ModelBody` says."""
    card = model.bundle.card
    return {
        "name": model.name,
        "title": model.bundle.title,
        "domain": card.domain,
        "description": card.description,
        "labels": list(model.bundle.labels),
        "top1": card.metrics.top1 if card.metrics else None,
        "top5": card.metrics.top5 if card.metrics else None,
        "output": model.bundle.output,
        "default": model.name == registry.default,
        "engine": model.engine,
        "scheduling": model.runner.sessions.scheduling,
    }
