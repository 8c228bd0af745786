"""The application: routes, errors and middleware around one `Service`."""

import importlib.metadata
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.staticfiles import StaticFiles

from foodscene.app import openapi, problems
from foodscene.app.middleware.head import Head
from foodscene.app.middleware.limits import ServiceLimits
from foodscene.app.middleware.prefix import Prefix
from foodscene.app.middleware.request_log import RequestLog
from foodscene.app.pages import docs, page
from foodscene.app.routes import explain, feedback, health, huggingface, kserve, models, predict
from foodscene.app.routes.fast_path import FastPath
from foodscene.app.service import Service
from foodscene.app.settings import Settings

STATIC = Path(__file__).parents[1] / "static"


def create_app(settings: Settings | None = None) -> FastAPI:
    """The ASGI application, with settings from the environment unless given."""
    service = Service(settings or Settings())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[Mapping[str, float]]:
        async with service.running():
            yield {"deadline_seconds": service.settings.deadline_seconds}  # for `server.protocol`

    app = FastAPI(
        title="foodscene",
        version=_version(),
        description=f"Tells what is on a photo of food or of a place. {_keeping(service.settings)}",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    problems.install(app)
    openapi.install(app, asks_key=bool(service.settings.api_keys))
    for routes in (predict, explain, models, feedback, huggingface, kserve, health, docs):
        app.include_router(routes.router)
    app.include_router(kserve.lean)
    app.include_router(page.router)
    if STATIC.is_dir():
        app.mount("/static", StaticFiles(directory=STATIC), name="static")
    # Added first, so it is the innermost.
    prefix = service.settings.root_path
    app.add_middleware(FastPath, path="/api/v1/predict", endpoint=predict.predict, prefix=prefix)
    app.add_middleware(ServiceLimits, settings=service.settings)
    if service.settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=service.settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["retry-after", "x-request-id"],
        )
    app.add_middleware(Head)
    app.add_middleware(RequestLog, service=service)
    if prefix:
        app.add_middleware(Prefix, prefix=prefix)  # added last, so it is the outermost
    return app


def _keeping(settings: Settings) -> str:
    """What becomes of photos."""
    if settings.feedback is None:
        return "Photos are never stored."
    return "Photos are not stored, but for those that are sent to /api/v1/feedback with their right label."


def _version() -> str:
    try:
        return importlib.metadata.version("foodscene")
    except importlib.metadata.PackageNotFoundError:  # run from a folder of the source, without an install
        return "source"
