"""What exporters say of a model beside its graph: Hugging Face, timm, Ultralytics, and foodscene's own `compile`.

All of it is read as data of somebody else: what is there has to make sense, and what is not known is left alone.
"""

import ast
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from foodscene.models.exported.reader import Export
from foodscene.models.graph.graph import ModelRefused
from foodscene.models.outputs import OutputKind

CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
"""What Hugging Face and timm call them."""

COMPILED_FROM = "foodscene.compiled_from"
"""The key in an ONNX file's metadata under which stands the sha256 of the model that we compiled it from."""

_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
"""Of the photos that torchvision's networks are trained on, scaled to 0..1."""

_Size = Annotated[int, Field(gt=0, le=4096)]
_Values = tuple[FiniteFloat, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """What a model takes, by the keys of a card's `input`, who says so, and what else is said."""

    input: dict[str, Any] = field(default_factory=dict)
    said_by: str = "assumed"
    labels: tuple[str, ...] | None = None
    output: OutputKind | None = None
    temperature: float | None = None


class _Said(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


_Kind = TypeVar("_Kind", bound=_Said)


class _Sides(_Said):
    height: _Size | None = None
    width: _Size | None = None
    shortest_edge: _Size | None = None


class _Preprocessor(_Said):
    """`preprocessor_config.json` of Hugging Face's transformers."""

    do_rescale: bool | None = None
    rescale_factor: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    rescale_offset: bool | None = None
    do_normalize: bool | None = None
    image_mean: _Values | None = None
    image_std: _Values | None = None
    include_top: bool | None = None
    do_flip_channel_order: bool | None = None
    do_center_crop: bool | None = None
    size: _Sides | _Size | None = None
    crop_size: _Sides | _Size | None = None

    def as_input(self) -> dict[str, Any]:
        """The keys of a card's `input` that mean the same."""
        said: dict[str, Any] = {}
        if self.do_rescale is not False:
            said["rescale"] = self.rescale_factor or 1 / 255
            if self.rescale_offset:
                said["offset"] = -1.0
        # Its default is true, but for the one processor that turns channels around.
        normalizes = not self.do_flip_channel_order if self.do_normalize is None else self.do_normalize
        if normalizes and self.image_mean and self.image_std:
            # Where `include_top` stands, transformers' EfficientNetImageProcessor divides a second time.
            std = tuple(value * value for value in self.image_std) if self.include_top else self.image_std
            said |= {"mean": self.image_mean, "std": std}
        if self.do_flip_channel_order:
            said["channel_order"] = "bgr"
        crops = self.do_center_crop is True
        size = (self.crop_size if crops and self.crop_size else None) or self.size
        if isinstance(size, int):
            said |= {"height": size, "width": size}
        elif size is not None and (height := size.height or size.shortest_edge):
            said |= {"height": height, "width": size.width or height}
        cut = crops or (isinstance(self.size, _Sides) and self.size.shortest_edge is not None)
        return said | {"fit": "crop" if cut else "squash"}


class _Pretrained(_Said):
    """`pretrained_cfg` in timm's `config.json`."""

    input_size: tuple[int, _Size, _Size] | None = None
    mean: _Values | None = None
    std: _Values | None = None
    crop_mode: str = "center"

    def as_input(self) -> dict[str, Any]:
        """The keys of a card's `input` that mean the same."""
        said: dict[str, Any] = {"rescale": 1 / 255, "mean": self.mean, "std": self.std}
        said["fit"] = {"squash": "squash", "border": "pad"}.get(self.crop_mode, "crop")
        if self.input_size:
            said |= {"height": self.input_size[1], "width": self.input_size[2]}
        return said


class _Config(_Said):
    """`config.json`, of transformers or of timm."""

    id2label: dict[str, str] | None = None
    problem_type: str | None = None
    image_size: _Size | tuple[_Size, _Size] | Any = None
    pretrained_cfg: _Pretrained | None = None
    label_names: tuple[str, ...] | None = None

    @property
    def labels(self) -> tuple[str, ...] | None:
        """In output order; None where it has just numbers for names."""
        if self.label_names:
            return self.label_names
        return _in_order(self.id2label or {})


class _Ultralytics(_Said):
    """What the exporter of Ultralytics writes into the file."""

    task: Literal["classify"]
    imgsz: tuple[_Size, _Size] | None = None


class _Compiled(_Said):
    """What `foodscene compile` writes into the file."""

    labels: tuple[str, ...]
    output: OutputKind
    fit: Literal["squash", "crop", "pad"]
    scale: _Values = Field(min_length=1)
    offset: _Values = Field(min_length=1)
    channel_order: Literal["rgb", "bgr"]
    temperature: float = Field(gt=0, allow_inf_nan=False)


def read(export: Export, part: Callable[[str], bytes | None]) -> Settings:
    """What is said of an export in its metadata, and in the files beside it, which `part` reads by their names.

    Where nothing is said, raw values are assumed; of what PyTorch exported, that it was trained as torchvision's
    networks are. Raises `ModelRefused` for a file that makes no sense, and `whatever `part` does.
    """
    metadata = export.metadata
    if COMPILED_FROM in metadata:
        return _compiled(metadata)
    config = _parsed(_Config, CONFIG, part(CONFIG)) or _Config()
    if config.problem_type == "multi_label_classification":
        raise ModelRefused(
            "config.json calls the model multi-label, and its answers are no probabilities yet. Export it with a "
            "sigmoid behind its logits."
        )
    if metadata.get("author") == "Ultralytics" and "names" in metadata:
        return _ultralytics(metadata)
    if said := _parsed(_Preprocessor, PREPROCESSOR, part(PREPROCESSOR)):
        return Settings(said.as_input(), f"by {PREPROCESSOR}", config.labels)
    if config.pretrained_cfg:
        return Settings(config.pretrained_cfg.as_input(), f"by {CONFIG}", config.labels)
    sides = config.image_size if isinstance(config.image_size, tuple) else (config.image_size,) * 2
    size = dict(zip(("height", "width"), sides, strict=True)) if all(isinstance(side, int) for side in sides) else {}
    return Settings(size, labels=config.labels)


def assumed(export: Export, *, scales: bool) -> tuple[dict[str, Any], str]:
    """What is assumed of the values that an export takes where nobody says it, and why."""
    if scales:
        return {}, "its layers scale them"
    if export.producer == "pytorch" and export.input_shape[3] == 3:
        return {"rescale": 1 / 255, **_IMAGENET, "fit": "crop"}, "assumed, as torchvision's networks take them"
    return {}, "assumed"


def _compiled(metadata: dict[str, str]) -> Settings:
    texts = {key: metadata.get(key, "null") for key in ("labels", "scale", "offset")}
    plain = {key: metadata.get(key) for key in ("output", "fit", "channel_order", "temperature")}
    try:
        said = _Compiled.model_validate({key: json.loads(text) for key, text in texts.items()} | plain)
    except (ValueError, RecursionError) as error:
        raise ModelRefused(f"model.onnx has metadata that foodscene did not write: {_first(error)}") from error
    if not all(said.scale):
        raise ModelRefused("model.onnx has metadata that foodscene did not write: a scale is 0")
    count = max(len(said.scale), len(said.offset))
    factors, offsets = (values * count if len(values) == 1 else values for values in (said.scale, said.offset))
    taken = {
        "std": tuple(1 / factor for factor in factors),
        "mean": tuple(-offset / factor for factor, offset in zip(factors, offsets, strict=False)),
        "channel_order": said.channel_order,
        "fit": said.fit,
    }
    return Settings(taken, "by its metadata", said.labels, said.output, said.temperature)


def _ultralytics(metadata: dict[str, str]) -> Settings:
    """Its classifiers take the middle of a photo, scaled to 0..1."""
    try:
        names = ast.literal_eval(metadata["names"])
        said = _Ultralytics.model_validate(
            {"task": metadata.get("task"), "imgsz": ast.literal_eval(metadata.get("imgsz", "None"))}
        )
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise ModelRefused(
            f"model.onnx was exported by Ultralytics, but not as a classifier: {_first(error)}"
        ) from error
    labels = _in_order({str(index): name for index, name in names.items()}) if isinstance(names, dict) else None
    size = dict(zip(("height", "width"), said.imgsz, strict=True)) if said.imgsz else {}
    return Settings({"rescale": 1 / 255, "fit": "crop", **size}, "as Ultralytics' classifiers do", labels)


def _in_order(names: dict[str, Any]) -> tuple[str, ...] | None:
    """Names by their indices, in order; None where one is missing, or they are just numbered."""
    if not names or any(not isinstance(name, str) for name in names.values()):
        return None
    if set(names) != {str(index) for index in range(len(names))}:
        return None
    labels = tuple(names[str(index)].strip() for index in range(len(names)))
    return None if all(re.fullmatch(r"LABEL_\d+|class\d+", label) for label in labels) else labels


def _parsed(kind: type[_Kind], name: str, content: bytes | None) -> _Kind | None:
    if content is None:
        return None
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        raise ModelRefused(f"{name} makes no sense: {_first(error)}") from error


def _first(error: Exception) -> str:
    """What is wrong first, and where."""
    if not isinstance(error, ValidationError):
        return str(error)[:200]
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"
