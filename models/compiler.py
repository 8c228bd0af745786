"""A bundle's model as ONNX: compiled from its file where it is needed, and kept in the cache by the file's sha256."""

import contextlib
import hashlib
import json
import logging
from pathlib import Path

from foodscene.models import files
from foodscene.models.bundle import MODEL, MOST_BYTES, ONNX, Bundle, BundleError
from foodscene.models.exported.settings import COMPILED_FROM
from foodscene.models.files import OccupiedError, cache_root, hash_content, write
from foodscene.models.graph.features import features_of
from foodscene.models.graph.graph import ModelRefused
from foodscene.models.graph.reader import read

VERSION = 2
"""Of what the compiler makes. Raise it with a change after which it makes something else of a model."""

_FOLDER = "compiled"
"""In the cache."""

logger = logging.getLogger(__name__)


def compiled(bundle: Bundle, *, fresh: bool = False) -> bytes:
    """The ONNX model of a bundle, which answers with the features too, and with the closeness to what is familiar.

    That where the bundle says what is: see `graph.compiler`. With `fresh`, what the cache holds is made anew.

    Raises `BundleError` where the model's file is no longer the one that was checked, or cannot be compiled.
    """
    familiar = hashlib.sha256(bundle.familiar.prototypes.tobytes()).hexdigest()[:16] if bundle.familiar else "plain"
    name = f"{bundle.sha256}-{bundle.spec.height}x{bundle.spec.width}-{familiar}-{VERSION}.onnx"
    place = cache_root() / _FOLDER / name
    if not fresh:
        with contextlib.suppress(OSError):
            return place.read_bytes()
    content = _compile(bundle, {COMPILED_FROM: bundle.sha256}, features=True)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write(place, content)
    except OSError as error:  # a read-only system compiles at each start
        logger.info("%s is compiled anew at each start, as the cache cannot be written: %s", bundle.name, error)
    return content


def write_onnx(bundle: Bundle) -> Path:
    """Write `model.onnx` into a bundle, for other runtimes; its metadata say what goes in and what comes out.

    Raises `BundleError` as `compiled` does, and where the model is a `model.onnx` itself; `OccupiedError` where one is
    there that we did not compile.
    """
    if bundle.exported:
        raise BundleError(f"{bundle.name}: its model is {bundle.file} as it is; there is nothing to compile.")
    path = bundle.folder / ONNX
    if path.exists() and COMPILED_FROM.encode() not in path.read_bytes():
        raise OccupiedError(f"{path} was not compiled by foodscene: it is not replaced. Move it away first.")
    scaling = bundle.scaling
    metadata = {
        COMPILED_FROM: bundle.sha256,
        "labels": json.dumps(bundle.labels, ensure_ascii=False),
        "output": bundle.output,
        "input": f"{bundle.spec.height} x {bundle.spec.width}, {'RGB' if bundle.spec.channels == 3 else 'gray'}, "
        "float32, (n, height, width, channels), from values 0-255 by scale and offset",
        "fit": bundle.spec.fit,
        "scale": json.dumps(scaling.factor.tolist()),
        "offset": json.dumps(scaling.offset.tolist()),
        "channel_order": "bgr" if scaling.reverse else "rgb",
        "temperature": str(bundle.card.temperature),
    }
    write(path, _compile(bundle, metadata))
    return path


def _compile(bundle: Bundle, metadata: dict[str, str], *, features: bool = False) -> bytes:
    from foodscene.models.graph.compiler import compile_graph  # takes onnx along, which a cached model does without

    try:
        with files.opening(bundle.model, MOST_BYTES[MODEL]) as file:
            if hash_content(file) != bundle.sha256:
                raise BundleError(f"{bundle.name}: {bundle.file} has changed since it was checked. Try again.")
            graph = read(file, bundle.file, sides=(bundle.spec.height, bundle.spec.width))
            node = features_of(graph) if features else None
            prototypes = bundle.familiar.prototypes if bundle.familiar and node else None
            compiled = compile_graph(graph, features=node, prototypes=prototypes, metadata=metadata)
            return bytes(compiled.SerializeToString())
    except (ModelRefused, files.UnreadableFile, OSError) as error:
        raise BundleError(f"{bundle.name}: {error}") from error
