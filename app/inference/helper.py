"""A process that decodes photos for the service, so that a decoder that is stuck can be ended: see `helpers`.

A request is a line of JSON and the photo's bytes; an answer is a line of JSON and pixels. It ends when its input does.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foodscene.models import pixels
from foodscene.models.pixels import DecodingLimits, InputSpec, PhotoError, Reading

_NICENESS = 15  # as the engines' threads: answers to small photos come first


def main() -> None:
    """Decode photos until there are no more. The first argument is how many bytes of memory decoding may take."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # no decoder's own words among the answers
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service, which then ends the input
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
        _bound_memory(int(sys.argv[1]))
    requests = sys.stdin.buffer
    while line := requests.readline():
        request = json.loads(line)
        answer, content = _answer(request, requests.read(request["bytes"]))
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.write(content)
        answers.flush()


def _answer(request: dict[str, Any], photo: bytes) -> tuple[dict[str, Any], bytes]:
    signal.setitimer(signal.ITIMER_PROF, request["seconds"])  # its signal ends the process, in C code too
    try:
        reading = _decode(photo, request)
    except PhotoError as error:
        return {"error": type(error).__name__, "detail": str(error)}, b""
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return {"shape": reading.pixels.shape, "truncated": reading.truncated}, reading.pixels.tobytes()


def _decode(photo: bytes, request: dict[str, Any]) -> Reading:
    limits = DecodingLimits(*request["limits"])
    if "longest" in request:
        picture: NDArray[np.uint8] = np.asarray(pixels.shrink(photo, request["longest"], limits=limits))
        return Reading(picture if picture.ndim == 3 else picture[:, :, None], truncated=False)
    return pixels.read_noting(photo, InputSpec(*request["spec"]), limits=limits)


def _bound_memory(most: int) -> None:
    """Let this process take `most` bytes more than it has, so that a lie about a photo's size ends here."""
    import resource

    held = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_DATA, (held + most, held + most))


if __name__ == "__main__":
    main()
