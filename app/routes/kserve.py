"""`/v2`: the Open Inference Protocol (KServe v2), so that its clients work as they are.

https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol. The input is either `photo`,
encoded images as BYTES of shape (n), or `pixels`, UINT8 of shape (n, height, width, channels), values 0-255. In JSON,
BYTES are base64; in the binary tensor data extension, which Triton's client uses, they come as they are.
"""

import json
import math
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import Response
from numpy.typing import NDArray

from foodscene.app.inference.registry import Model
from foodscene.app.inference.scheduler import Pixels
from foodscene.app.problems import Problem, responses
from foodscene.app.routes.fast_path import DirectRoute
from foodscene.app.routes.forms import query
from foodscene.app.routes.health import ready as all_ready
from foodscene.app.routes.json_bodies import JsonBody, from_base64, off_the_loop, whole_numbers
from foodscene.app.service import Service
from foodscene.models.fallback import known

router = APIRouter(prefix="/v2", tags=["kserve"])
lean = APIRouter(prefix="/v2", tags=["kserve"], route_class=DirectRoute)

_VERSION = "1"
"""The one version of every model: a bundle that takes another's place takes its name."""
_MOST_DIGITS, _MOST_SIZES = 12, 8


@router.get("")
async def server(request: Request) -> dict[str, Any]:
    """What serves."""
    return {"name": "foodscene", "version": request.app.version, "extensions": ["binary_tensor_data"]}


@router.get("/health/live")
async def live() -> dict[str, bool]:
    """The process lives."""
    return {"live": True}


@router.get("/health/ready", responses=responses(503))
async def ready(request: Request) -> dict[str, bool]:
    """The models are loaded and the service is not stopping."""
    await all_ready(request)
    return {"ready": True}


@router.get("/models/{name}", responses=responses(401, 404, 422, 429, 503))
@router.get("/models/{name}/versions/{version}", include_in_schema=False)
async def metadata(request: Request, name: str, version: str = _VERSION) -> dict[str, Any]:
    """What a model takes and gives."""
    model = _model(request, name, version)
    return {
        "name": model.name,
        "versions": [_VERSION],
        "platform": "onnxruntime_onnx" if model.engine == "onnx" else "keras",
        "inputs": [
            {"name": "photo", "datatype": "BYTES", "shape": [-1]},
            {"name": "pixels", "datatype": "UINT8", "shape": [-1, *model.bundle.spec.shape]},
        ],
        "outputs": [
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, len(model.bundle.labels)]},
            *(_FAMILIAR if model.bundle.familiar else []),
        ],
        "parameters": {"labels": list(model.bundle.labels), "output": model.bundle.output},
    }


@router.get("/models/{name}/ready", responses=responses(401, 404, 422, 429, 503))
@router.get("/models/{name}/versions/{version}/ready", include_in_schema=False)
async def model_ready(request: Request, name: str, version: str = _VERSION) -> dict[str, Any]:
    """The model is in service."""
    return {"name": _model(request, name, version).name, "ready": True}


def _model(request: Request, name: str, version: str) -> Model:
    """The model of that name. Raises a `Problem` where there is none, or none of that version."""
    model: Model = request.app.state.service.registry.get(name)
    if version != _VERSION:
        raise Problem("unknown-model", f"{model.name} has no version {version[:100]!r}; there is {_VERSION!r} alone.")
    return model


_FAMILIAR = [
    {"name": "known", "datatype": "BOOL", "shape": [-1]},
    {"name": "familiarity", "datatype": "FP32", "shape": [-1]},
]
"""Further outputs of a model that says what is familiar to it."""

_ANSWER = {
    "model_name": "everyday",
    "model_version": _VERSION,
    "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [1, 3], "data": [0.97, 0.02, 0.01]}],
}


@lean.post("/models/{name}/versions/{version}/infer", include_in_schema=False)
@lean.post(
    "/models/{name}/infer",
    response_model=dict[str, Any],
    responses={
        200: {"content": {"application/json": {"example": _ANSWER}}},
        **responses(400, 401, 404, 408, 413, 415, 422, 429, 503, 504),
    },
    openapi_extra={
        "parameters": [{"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["inputs"],
                        "properties": {"id": {"type": "string"}, "inputs": {"type": "array", "items": {}}},
                    },
                    "example": {"inputs": [{"name": "photo", "datatype": "BYTES", "shape": [1], "data": ["/9j/4AAQ"]}]},
                }
            },
        },
    },
)
async def infer(request: Request) -> Response:
    """Probabilities for photos, or for pixels that are fitted already."""
    service: Service = request.app.state.service
    service.scheduler.refuse_if_full()
    model = _model(request, request.path_params["name"], request.path_params.get("version", _VERSION))
    query(request)  # has none
    header_length = request.headers.get("inference-header-content-length")
    most = int(service.settings.max_batch_upload_mb * 1e6) if header_length else None  # JSON costs more to take apart
    async with service.uploads.body(request, copies=2, most=most) as body:
        async with service.deadline(request):  # a large body takes long to take apart, so that others would notice
            size = _json_bytes(body, header_length, int(service.settings.max_upload_mb * 1e6))
            name, photos = await off_the_loop(lambda: _read(body, size, model, service.settings.max_files), size)
        outcomes = await service.look(photos, model, request)
    for outcome in outcomes:
        if isinstance(outcome, Problem):
            raise outcome
    answered = [outcome for outcome in outcomes if not isinstance(outcome, Problem)]
    outputs = [_tensor("probabilities", "FP32", np.concatenate([one.outputs.probabilities for one in answered]))]
    if familiar := model.bundle.familiar:
        decided = [known(model.bundle, one.outputs, one.second) for one in answered]
        closeness = np.concatenate([one.outputs.closeness for one in answered if one.outputs.closeness is not None])
        outputs.append(_tensor("known", "BOOL", np.concatenate([one for one in decided if one is not None])))
        outputs.append(_tensor("familiarity", "FP32", familiar.familiarity(closeness).round(4)))
    answer = {"model_name": model.name, "model_version": _VERSION, "outputs": outputs}
    if name is not None:
        answer["id"] = name
    return Response(json.dumps(answer), media_type="application/json")


def _tensor(name: str, datatype: str, values: NDArray[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": list(values.shape), "data": values.ravel().tolist()}


def _json_bytes(body: bytes, header_length: str | None, most: int) -> int:
    """The length of a body's JSON part; binary tensors come behind it. Raises a `Problem` where it has none."""
    if header_length is None:
        return len(body)
    digits = header_length.isascii() and header_length.isdigit() and len(header_length) <= _MOST_DIGITS
    if not digits or int(header_length) > len(body):
        raise Problem("bad-request", "Inference-Header-Content-Length is not the length of the body's JSON part.")
    if int(header_length) > most:
        raise Problem("too-large", f"The JSON part is larger than {most / 1e6:g} MB. Send the photos behind it.")
    return int(header_length)


def _read(body: bytes, json_bytes: int, model: Model, most: int) -> tuple[str | None, list[bytes | Pixels]]:
    """The request's id, if it has one, and its photos."""
    read = JsonBody(body[:json_bytes])  # of a body that is all JSON, no copy
    name = read.value(read.content.get("id"))
    return name if isinstance(name, str) else None, _photos(read, memoryview(body)[json_bytes:], model, most)


def _photos(read: JsonBody, binary: memoryview, model: Model, most: int) -> list[bytes | Pixels]:
    """The request's photos. Raises a `Problem` `bad-parameter` for any other input."""
    inputs = read.content.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise Problem("bad-parameter", "inputs: give one input, `photo` or `pixels`.")
    tensor = inputs[0]
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not all(isinstance(size, int) and 0 < size < 1e6 for size in shape[:_MOST_SIZES]):
        raise Problem("bad-parameter", "inputs.0.shape: give a list of sizes.")
    if not 1 <= len(shape) <= _MOST_SIZES:
        raise Problem("bad-parameter", f"inputs.0.shape: give 1 to {_MOST_SIZES} sizes, not {len(shape)}.")
    photos = math.prod(shape) if tensor.get("datatype") == "BYTES" else shape[0]
    if not 1 <= photos <= most:
        raise Problem("bad-parameter", f"inputs.0.shape: send 1 to {most} photos, not {photos}.")
    if tensor.get("datatype") == "BYTES":
        return list(_encoded(read, tensor, photos, binary))
    if tensor.get("datatype") == "UINT8" and tuple(shape[1:]) == model.bundle.spec.shape:
        return list(_pixels(read, tensor, shape, binary)[:, None])
    height, width, channels = model.bundle.spec.shape
    raise Problem(
        "bad-parameter",
        f"inputs.0: give BYTES of shape [n], or UINT8 of shape [n, {height}, {width}, {channels}].",
    )


def _encoded(read: JsonBody, tensor: dict[str, Any], count: int, binary: memoryview) -> list[bytes]:
    if "data" in tensor:
        data = tensor["data"]
        if not isinstance(data, list) or len(data) != count or not all(isinstance(text, str) for text in data):
            raise Problem("bad-parameter", f"inputs.0.data: give {count} photos as base64.")
        return [from_base64(read.value(text), "inputs.0.data") for text in data]
    photos: list[memoryview] = []
    while binary and len(photos) <= count:  # each photo behind its length, in four bytes, little-endian
        length = int.from_bytes(binary[:4], "little")
        if len(binary) < 4 + length:
            raise Problem("bad-parameter", "inputs.0: the binary data is shorter than it says.")
        photos.append(binary[4 : 4 + length])
        binary = binary[4 + length :]
    if len(photos) != count:
        raise Problem("bad-parameter", f"inputs.0: the shape says {count} photos, the data has other ones.")
    return [bytes(photo) for photo in photos]


def _pixels(read: JsonBody, tensor: dict[str, Any], shape: list[int], binary: memoryview) -> Pixels:
    try:
        if "data" not in tensor:
            return np.frombuffer(binary, np.uint8).reshape(shape)
        data = read.value(tensor["data"])
        values = whole_numbers(data) if isinstance(data, memoryview) else np.asarray(data, np.uint8)
        return values.reshape(shape)
    except (ValueError, TypeError, OverflowError) as error:
        raise Problem(
            "bad-parameter", f"inputs.0.data: these are not {math.prod(shape)} whole numbers from 0 to 255."
        ) from error
