import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.needs import need

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def test_what_is_missing_is_named_with_the_way_to_get_it() -> None:
    need("json", "numpy")
    with pytest.raises(SystemExit, match=r"needs no_such_module\. `make bench`.*pip install"):
        need("json", "no_such_module")


@pytest.mark.parametrize(
    "module", ["augmentation", "cache", "scratch", "training", "whitening", "serving --rivals", "short"]
)
def test_a_benchmark_without_a_package_ends_with_a_sentence(module: str, tmp_path: Path) -> None:
    """In an environment that has what serving needs, and nothing of the rest."""
    hide = "import sys; sys.modules.update(dict.fromkeys(%r)); import runpy, importlib.util as u; find = u.find_spec;"
    hide += "u.find_spec = lambda name, *more: None if sys.modules.get(name, 0) is None else find(name, *more);"
    name, *options = module.split()
    options += ["--data", "."] if name == "whitening" else ["--photos", "."] if name == "serving" else []
    hide += f"sys.argv = [{name!r}, *{options!r}]; runpy.run_module('benchmarks.{name}', run_name='__main__')"
    gone = ("albumentations", "keras", "tensorflow", "scipy", "cv2")
    command = [sys.executable, "-c", hide % (gone,)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("This benchmark needs "), done.stderr[-1500:]
    assert "make bench" in done.stderr
