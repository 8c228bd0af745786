"""What the OpenAPI document says beside the routes: the problems, and how a key is sent."""

from typing import Any

from fastapi import FastAPI

from foodscene.app.middleware.limits import is_guarded
from foodscene.app.problems import ProblemDetails

_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "Authorization: Bearer KEY"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def install(app: FastAPI, *, asks_key: bool) -> None:
    """Complete the application's document; where no key is asked for, one may be sent all the same."""
    described = app.openapi

    def complete() -> dict[str, Any]:
        document = described()
        parts = document.setdefault("components", {})
        parts.setdefault("schemas", {})["ProblemDetails"] = ProblemDetails.model_json_schema()
        parts["securitySchemes"] = _SCHEMES
        ways: list[dict[str, list[str]]] = [{name: []} for name in _SCHEMES]
        for path, methods in document["paths"].items():
            for method, route in methods.items():
                if is_guarded(method.upper(), path):
                    route["security"] = ways if asks_key else [{}, *ways]
        return document

    app.openapi = complete  # type: ignore[method-assign]
