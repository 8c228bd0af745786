"""A process that loads a bundle as the service would; one that hangs or takes too much ends there: see `trials`.

Its argument is the request, a JSON object; its answer another, which says why the bundle is refused, if it is.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from foodscene.app.inference.sessions import open_sessions
from foodscene.models.bundle import BundleError, read_bundle


def main() -> None:
    """Load the bundle that the first argument names."""
    request = json.loads(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # no library's own words in the answer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service, which then ends this process
    signal.alarm(request["seconds"])  # for a service that was killed
    if sys.platform == "linux":
        _bound_memory(request["memory"])
    json.dump({"refused": _refusal(request)}, answers)
    answers.close()
    os._exit(0)  # nothing that a hostile file led a library to is waited for


def _refusal(request: dict[str, Any]) -> str | None:
    try:
        bundle = read_bundle(Path(request["folder"]))
        open_sessions(bundle, request["engine"], request["threads"], request["scheduling"], request["max_batch"])
    except BundleError as error:
        return str(error)
    except MemoryError:
        return f"{Path(request['folder']).name} takes more than {request['memory'] / 1e6:,.0f} MB to load."
    return None


def _bound_memory(most: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
