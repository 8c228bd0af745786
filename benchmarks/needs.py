"""What a benchmark needs beside foodscene itself."""

import importlib.util
import sys


def need(*modules: str) -> None:
    """End the program with a sentence that says what to do, where one of these modules is not installed."""
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        sys.exit(
            f"This benchmark needs {' and '.join(missing)}. `make bench` sets up .venv-bench with everything and runs "
            "a short round of each benchmark; into another environment: "
            "pip install --require-hashes --requirement requirements.lock"
        )
