"""`/docs`: the REST API for people, drawn from its OpenAPI description, without scripts or content from elsewhere."""

import json
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader

router = APIRouter(include_in_schema=False)
_template = Environment(loader=PackageLoader("foodscene.app"), autoescape=True).get_template("docs.html")


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """Every route with its parameters, its answers, and a curl line to try it."""
    description, root = request.app.openapi(), request.app.state.service.settings.root_path
    routes = [
        _route(method, path, route, description, str(request.base_url).rstrip("/"))
        for path, methods in description["paths"].items()
        for method, route in methods.items()
    ]
    return HTMLResponse(_template.render(info=description["info"], routes=routes, root=root))


def _route(method: str, path: str, route: dict[str, Any], description: dict[str, Any], base: str) -> dict[str, Any]:
    bodies = route.get("requestBody", {}).get("content", {})
    parameters = [
        {**parameter.get("schema", {}), **parameter, "required": parameter.get("required", False)}
        for parameter in route.get("parameters", [])
    ]
    in_query = {parameter["name"]: parameter for parameter in parameters if parameter["in"] == "query"}
    for body in list(bodies.values())[:1]:  # the others hold the same
        schema = _resolve(body.get("schema", {}), description)
        for name, field in schema.get("properties", {}).items():
            if name in in_query:
                in_query[name]["in"] = "query or body"
            else:
                required = name in schema.get("required", [])
                parameters.append({"name": name, "in": "body", "required": required, **field})
    return {
        "method": method.upper(),
        "path": path,
        "summary": route.get("description") or route.get("summary", ""),
        "parameters": parameters,
        "curl": _curl(method, base + path, bodies, asks_key={} not in route.get("security", [{}])),
        "answers": [
            {"status": status, "description": answer["description"], "example": _example(answer, description)}
            for status, answer in route["responses"].items()
        ],
    }


def _curl(method: str, url: str, bodies: dict[str, Any], *, asks_key: bool) -> str:
    url = url.replace("{name}", "everyday")
    if asks_key:
        url = f"-H 'Authorization: Bearer KEY' {url}"
    if "multipart/form-data" in bodies:
        many = "files" in bodies["multipart/form-data"]["schema"]["properties"]
        return f"curl {'-F files=@one.jpg -F files=@two.jpg' if many else '-F file=@photo.jpg'} {url}"
    if "image/jpeg" in bodies:
        return f"curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' {url}"
    if "application/json" in bodies:
        return f"curl -d @request.json -H 'Content-Type: application/json' {url}"
    return f"curl {'' if method == 'get' else f'-X {method.upper()} '}{url}"


def _resolve(schema: dict[str, Any], description: dict[str, Any]) -> dict[str, Any]:
    """The schema that a reference points to."""
    name = schema.get("$ref", "").rpartition("/")[2]
    resolved: dict[str, Any] = description["components"]["schemas"][name] if name else schema
    return resolved


def _example(answer: dict[str, Any], description: dict[str, Any]) -> str:
    for content in answer.get("content", {}).values():
        if "example" in content:
            return json.dumps(content["example"], indent=2)
        fields = _resolve(content.get("schema", {}), description).get("properties", {})
        return ", ".join(fields)
    return ""
