"""What is installed is what was locked: by hash, by commit, by digest, and nothing from anywhere else."""

import re
import subprocess
import sys
import tomllib
from collections import Counter
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.version import Version

ROOT = Path(__file__).parents[1]
EVERYTHING, SERVING, GPU = LOCKS = [ROOT / f"requirements{name}.lock" for name in ("", "-serve", "-gpu")]
_ENTRY = re.compile(
    r"([a-z0-9._-]+)(?:\[[\w,-]+\])?==([\w.!+-]+)(?: ;[^\\]+)?"  # name, extras, version, marker
    r"( \\\n    --hash=sha256:[0-9a-f]{64})+"
)
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def locked(path: Path) -> dict[str, set[str]]:
    """Versions of a lock by name; several where a marker chooses. Every line of it is looked at."""
    found: dict[str, set[str]] = {}
    text = re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE)
    for entry in re.split(r"\n(?=\S)", text.strip()):
        line = _ENTRY.fullmatch(entry)
        assert line, f"{path.name}: {entry[:200]}"
        found.setdefault(line[1], set()).add(line[2])
    return found


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_holds_versions_and_hashes_and_names_no_host(lock: Path) -> None:
    assert len(locked(lock)) > 30
    assert not re.search(r"https?://|file:|--(extra-)?index|--find-links|@ ", lock.read_text())


def test_the_locks_agree_and_hold_what_the_project_asks_for() -> None:
    everything, serving, gpu = map(locked, LOCKS)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for part in (serving, gpu):
        assert all(versions <= everything.get(name, versions) for name, versions in part.items())
    assert serving.keys() <= everything.keys()
    assert not serving.keys() & {"keras", "tensorflow", "tf2onnx", "pytest"}
    [backend] = project["build-system"]["requires"]
    name, _, version = backend.partition("==")
    asked = {"": project["project"]["dependencies"], **project["project"]["optional-dependencies"]}
    every = ["", "train", "scratch", "bench", "lite", "mlflow", "dev"]
    for lock, extras in ((serving, [""]), (everything, every), (gpu, ["", "train"])):
        assert lock[name] == {version}
        for requirement in (requirement for extra in extras for requirement in asked[extra]):
            [wanted] = re.findall(r"^[\w.-]+", requirement)
            assert re.sub(r"[-_.]+", "-", wanted).lower() in lock


def test_whatever_installs_asks_for_hashes_or_takes_no_dependencies() -> None:
    """In the Makefile, the Dockerfile, and what tests the wheel; the project itself comes in a step of its own."""
    makefile, dockerfile = (ROOT / "Makefile").read_text(), (ROOT / "Dockerfile").read_text()
    assert re.findall(r"^LOCKED := (.*)$", makefile, re.MULTILINE) == ["$(PIP) --require-hashes --requirement"]
    assert re.findall(r"^OURS := (.*)$", makefile, re.MULTILINE) == [
        "$(PIP) --no-deps --no-build-isolation --editable ."
    ]
    recipes = [
        line for line in makefile.splitlines() if line.startswith("\t") and re.search(r"pip|PIP|LOCKED|OURS", line)
    ]
    uses = [line for line in recipes if "LOCKED" in line or "OURS" in line]
    assert len(uses) == 6
    assert [line for line in recipes if line not in uses] == [line for line in recipes if "$(COMPILE)" in line]
    steps = re.findall(r"pip install (.*?)(?= &&|\n)", dockerfile)
    assert len(steps) == 4
    assert all(
        step.startswith(("--require-hashes --requirement ", "--no-deps --no-build-isolation ")) for step in steps
    )


def test_actions_are_pinned_by_commit() -> None:
    for workflow in WORKFLOWS:
        for use in re.findall(r"uses: (.*)", workflow.read_text()):
            assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v[\w.]+", use), f"{workflow.name}: {use}"


def pin() -> Any:
    loader = SourceFileLoader("pin", str(ROOT / ".ci" / "pin"))
    spec = spec_from_loader("pin", loader)
    assert spec
    module = module_from_spec(spec)
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    return module


def test_pins_are_what_was_answered_and_nothing_else() -> None:
    text = "\n".join((ROOT / "Dockerfile").read_text() + "".join(path.read_text() for path in WORKFLOWS) for _ in "1")
    slim = [f"python:3.{minor}-slim" for minor in (11, 12, 13, 14)]
    commits, digests = {"v4.2.2": "a" * 40}, dict.fromkeys((*slim, "python:3.11", "python:3.12"), "b" * 64)
    made = pin().pinned(text, lambda action, tag: commits[tag], digests.__getitem__)
    assert made.count(f"actions/checkout@{'a' * 40} # v4.2.2") == text.count("uses: ") > 2
    assert f"FROM python:3.12-slim@sha256:{'b' * 64} AS base" in made
    assert f'"python:3.11@sha256:{"b" * 64}"' in made
    assert pin().pinned(made, lambda action, tag: commits[tag], digests.__getitem__) == made
    for answered in ("", "main", "a" * 39, "A" * 40):
        with pytest.raises(SystemExit, match="no hash"):
            pin().pinned(text, lambda action, tag, answered=answered: answered, digests.__getitem__)


@pytest.mark.parametrize(("place", "status"), [({}, 0), ({"GITHUB_ACTIONS": "true"}, 1)])
def test_the_audit_says_when_it_could_not_ask(place: dict[str, str], status: int) -> None:
    nowhere = dict.fromkeys(("https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy"), "http://127.0.0.1:9")
    done = subprocess.run(
        [ROOT / ".ci" / "audit", sys.executable],
        env={"PATH": "/usr/bin:/bin", **nowhere, **place},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status
    assert "DEPENDENCIES NOT AUDITED: pypi.org" in done.stderr


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
def test_every_python_that_serves_has_one_version_of_everything(python: str) -> None:
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    entries = re.findall(
        r"^([a-z0-9._-]+)(?:\[[\w,-]+\])?==([\w.!+-]+)(?: ; ([^\\\n]+))?", SERVING.read_text(), re.MULTILINE
    )
    chosen = Counter(name for name, _, marker in entries if not marker or Marker(marker).evaluate(environment))
    assert set(chosen.values()) == {1}
    [h5py] = [one for name, one, marker in entries if name == "h5py" and Marker(marker).evaluate(environment)]
    assert (Version(h5py) >= Version("3.15")) == (python == "3.14"), "the first with wheels for Python 3.14"


def test_the_scheduled_workflow_serves_on_every_python_that_is_promised() -> None:
    nightly = (ROOT / ".github" / "workflows" / "nightly.yml").read_text()
    for python in ("3.11", "3.12", "3.13", "3.14"):
        assert f"python:{python}-slim" in nightly
    assert '"uv"' in nightly


def test_the_images_run_as_a_user_without_rights() -> None:
    stages = re.split(r"^FROM ", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)[1:]
    ends = [re.findall(r"^(?:USER|CMD|ENTRYPOINT) .*", stage, re.MULTILINE) for stage in stages]
    assert ends[0] == []
    assert [end[0] for end in ends[1:]] == ["USER foodscene"] * 2
    assert "useradd --create-home --uid 10001 foodscene" in stages[0]
