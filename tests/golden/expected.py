"""The expected values, in `expected.json`: how they are written, read and compared."""

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("expected.json")

TOLERANCE = 1e-4
"""By how much a number may differ. ONNX Runtime, TensorFlow and the encoders of lossy formats pick kernels by CPU,
whose sums are taken in different orders: that moves probabilities and a training's figures by less than 0.00001.
A photo scaled in another way, another weight or another seed moves most of them by far more than this."""

_DIGITS = 6
_EXPANDED = 3


def differences(expected: Any, got: Any, where: str = "") -> list[str]:
    """Where two answers differ, one line each: numbers by more than `TOLERANCE`, everything else at all."""
    if isinstance(expected, dict) and isinstance(got, dict):
        if expected.keys() != got.keys():
            return [f"{where}: the keys {sorted(expected)} expected, not {sorted(got)}"]
        return [line for key in expected for line in differences(expected[key], got[key], f"{where}/{key}")]
    if isinstance(expected, list) and isinstance(got, list):
        if len(expected) != len(got):
            return [f"{where}: {len(expected)} values expected, not {len(got)}"]
        pairs = enumerate(zip(expected, got, strict=True))
        return [line for place, (one, other) in pairs for line in differences(one, other, f"{where}/{place}")]
    if isinstance(expected, float) and isinstance(got, float):
        same = abs(expected - got) <= TOLERANCE
    else:
        same = type(expected) is type(got) and expected == got
    return [] if same else [f"{where}: {expected!r} expected, not {got!r}"]


def read(part: str) -> Any:
    """The expected values of one part: `service`, `command` or `training`."""
    return json.loads(FILE.read_text())[part]


def write(parts: dict[str, Any]) -> None:
    """Write all parts anew, one line for each answer, so that a change shows which ones changed."""
    FILE.write_text(_text(_rounded(parts)) + "\n")


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return round(value, _DIGITS) if isinstance(value, float) else value


def _text(value: Any, depth: int = 0) -> str:
    if depth > _EXPANDED or not isinstance(value, dict):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    indent = " " * (depth + 1)
    lines = [f"{indent}{json.dumps(key)}: {_text(part, depth + 1)}" for key, part in value.items()]
    return "{\n" + ",\n".join(lines) + "\n" + " " * depth + "}"
