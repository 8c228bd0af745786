"""Every command in the documentation is run, or stands in a list that says how it is checked instead."""

import fcntl
import importlib.util
import itertools
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import typer
from typer.testing import CliRunner

from docs.generate.pages import PAGES, ROOT
from docs.generate.rest import HOST
from foodscene.cli import program
from tests.docs.blocks import blocks, commands, inline

ELSEWHERE = {
    "source .venv/bin/activate": "the shell's own; the sandbox has the same programs on its path",
    "pip install foodscene-0.1.0-py3-none-any.whl": "make wheel does so, in a clean environment",
    "pip install 'foodscene-0.1.0-py3-none-any.whl[train,gpu]'": "make .venv/dev installs [train]; [gpu] needs a GPU",
    "python -m pytest tests/models": "make test runs it",
    ".venv/bin/python -m pytest tests/models": "make test runs it",
    "python -m tests.browser.screenshots docs/images": "run before a release; tests/browser drives the same page",
    "python -m benchmarks.augmentation": "takes minutes; its figures are in docs/benchmarks.md",
    "python -m benchmarks.whitening --data food-101-10.tar.gz": "takes minutes; its figures are in docs/benchmarks.md",
    "python -m benchmarks.training --only vgg16 --photos 20000 --batch-size 128 --precision mixed_bfloat16": (
        "by hand, on a machine with a GPU"
    ),
    "python -m benchmarks.fuzz http://127.0.0.1:8000 --uploads 25000 --seed 6 --costly 20 --clients 8 "
    "--photos PHOTOS \\\n"
    '    --pid "$PID" --runs runs.jsonl --no-costs': "takes an hour; tests/benchmarks/test_fuzz.py",
    "python -m benchmarks.beside --photos PHOTOS --uploads 5000 --runs runs.jsonl": "tests/benchmarks/test_beside.py",
    "python -m benchmarks.compiled": "takes minutes; make bench runs it",
    "sh examples/train.sh": "tests/docs/test_examples.py",
    "foodscene compile my-bundles/my-model": "tests/models/test_compiler.py",
    "foodscene calibrate my-bundle --data my-photos/ --out my-bundle-calibrated": (
        "tests/training/commands/test_evaluate.py"
    ),
    "foodscene calibrate my-bundle --data my-photos/ --fallback objects --strangers strangers/": (
        "tests/training/commands/test_evaluate.py"
    ),
    "foodscene explain photo.jpg --model scenes-cnn --label street": "tests/training/evaluation/test_explanation.py",
    "foodscene predict s3://my-bucket/photos --out answers.parquet": "tests/app/bulk/test_storage.py",
    "foodscene predict intel-image-classification.zip/seg_pred --out scenes.csv": "tests/app/bulk/test_job.py",
    "foodscene runs report 12": "tests/training/reports/test_report.py",
    "foodscene runs import old/*.json": "tests/training/runs/test_log.py",
    "foodscene runs mirror --to sqlite:///mlflow.db": "tests/training/runs/test_log.py",
    "foodscene sweep space.toml --data intel-image-classification.zip": "tests/training/sweep/test_sweep.py",
    "foodscene evaluate everyday --data intel-image-classification.zip --data food-101-10.tar.gz --out measured": (
        "tests/training/evaluation/test_evaluation.py"
    ),
    "foodscene evaluate scenes-cnn --data intel-image-classification.zip \\\n"
    "    --ood mnist/ --ood food-101-10.tar.gz --save": "tests/training/evaluation/test_evaluation.py",
    "kubectl apply -f deploy/kubernetes": "tests/deploy/test_kubernetes.py checks what is applied",
    "docker build --target serve -t foodscene .": "the workflow's job `image`",
    "docker run --rm -p 8000:8000 foodscene": "the workflow's job `image`",
    "docker run --rm -p 8000:8000 -v /srv/bundles:/bundles -e FOODSCENE_MODELS=/bundles foodscene": "as the one above",
    "docker build --target train --build-arg LOCK=requirements-gpu.lock -t foodscene:train .": "without gpu: `image`",
    'docker run --rm --gpus all --user "$(id -u)" -e HOME=/home/foodscene -v "$PWD":/home/foodscene \\\n'
    "  foodscene:train food/vgg16-128 --data UECFOOD256.zip": "by hand, on a machine with a GPU",
}
"""What takes too long, or needs what a test has not: what checks it instead."""

MINE = 'extends = "food/standardized-4x128"\ntitle = "My dishes, larger"\n'
PLACES = {
    "/srv/bundles": "my-bundles",
    "runs/mine/models": "my-bundles",
    "runs/large/models/mnist-four-convs-augmented": "my-bundles/my-model",
    "--data mnist/": "--data my-photos/",
    "KEY": "0" * 64,
}
"""What stands for something of the reader's own."""
_NUMBERS = itertools.count(1)  # runs are named by the second in which they begin, and these begin in one


def test_there_are_commands() -> None:
    assert sum(len(commands(page)) for page in _pages()) > 80


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [pytest.param(page, id=page.name) for page in (*PAGES, ROOT / "examples" / "README.md") if commands(page)]
)
def test_commands_of_a_page(page: Path, sandbox: Path, request: pytest.FixtureRequest) -> None:
    """They run one after another, as a reader would type them."""
    (sandbox / "mine.toml").write_text(MINE)
    for command in _here(page):
        if re.match(r"(\w+=\S+ )?make ", command):
            _run(f"{command} --dry-run", ROOT)
        elif command.startswith("foodscene train"):
            _begin(command)
        elif command.startswith("foodscene serve"):
            _serve(command)
        else:
            asks = HOST in command or "examples/" in command
            address = request.getfixturevalue("url") if asks else HOST
            said = _run(command.replace(HOST, address), sandbox, FOODSCENE_URL=address)
            assert said, f"{command} printed nothing"


def test_the_list_names_what_is_in_the_documentation() -> None:
    everything = {command for page in _pages() for command in commands(page)}
    assert ELSEWHERE.keys() <= everything, f"no longer there: {ELSEWHERE.keys() - everything}"


@pytest.mark.parametrize("command", [command for command in ELSEWHERE if command.startswith("foodscene ")])
def test_what_is_checked_elsewhere_has_the_right_options(command: str) -> None:
    _check(command)


@pytest.mark.parametrize("where", sorted(set(re.findall(r"tests/[\w/]+\.py", " ".join(ELSEWHERE.values())))))
def test_elsewhere_is_there(where: str) -> None:
    assert (ROOT / where).is_file()


@pytest.mark.parametrize("module", [command.split()[2] for command in ELSEWHERE if command.startswith("python -m")])
def test_modules_are_there(module: str) -> None:
    assert importlib.util.find_spec(module)


def test_commands_within_the_text() -> None:
    """Their names and options are right; what is left out or stands for something may be."""
    said = inline()
    assert len(said) > 20
    for page, command in said:
        words = shlex.split(command.replace("…", ""))
        if words[0] == "python":
            assert importlib.util.find_spec(words[2]), f"{page.name}: {command}"
            continue
        if words[1].isupper() or "[OPTIONS]" in words:  # a pattern
            continue
        found, options = _command(words[1:])
        known = {name for param in found.params for name in (*param.opts, *param.secondary_opts)} | {"--help"}
        assert options <= known | {"--version", "--install-completion"}, f"{page.name}: {command}"


@pytest.mark.parametrize("block", blocks(""), ids=lambda block: block.page.name)
def test_every_block_names_its_language(block: Any) -> None:
    assert "foodscene " not in block.text, f"write ```sh in {block.page.name}: {block.text}"


def _pages() -> list[Path]:
    return [*PAGES, ROOT / "examples" / "README.md"]


def _here(page: Path) -> list[str]:
    """A page's commands that are run here, with the sandbox's names in them."""
    found = [command for command in commands(page) if command not in ELSEWHERE]
    for theirs, ours in PLACES.items():
        found = [command.replace(theirs, ours) for command in found]
    return found


def _run(command: str, folder: Path, **environment: str) -> str:
    done = subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def _folder_name(recipe: str, _when: object) -> str:
    return f"{recipe.replace('/', '-')}-{next(_NUMBERS)}"


def _begin(command: str) -> None:
    """Begin a training as a reader would: recipe, settings and photos are read, and the training itself left out."""
    begun = mock.Mock()
    with (
        mock.patch("foodscene.training.train._follow", begun),
        mock.patch("foodscene.training.commands.train.summary"),
        mock.patch("foodscene.training.runs.run.folder_name", _folder_name),
        mock.patch("signal.signal"),
    ):
        result = CliRunner().invoke(program, shlex.split(command)[1:])
    assert result.exit_code == 0, f"{command}\n{result.output}{result.exception!r}"
    assert begun.call_count == 1


def _serve(command: str) -> None:
    """Start the service as a reader would, the server itself left out."""
    started = mock.Mock()
    with (
        mock.patch("foodscene.app.server.run.run", started),
        mock.patch.dict(os.environ),
        (ROOT / "Makefile").open() as alone,
    ):
        fcntl.flock(alone, fcntl.LOCK_EX)  # another process of the tests may take the same port
        result = CliRunner().invoke(program, shlex.split(command)[1:])
        for listening in started.call_args.args[1] if started.called else ():
            listening.close()
    assert result.exit_code == 0, f"{command}\n{result.output}{result.exception!r}"
    assert started.call_count == 1


def _check(command: str) -> None:
    """Take a command's options apart, as far as that needs none of its files."""
    words = shlex.split(command)[1:]
    found, options = _command(words)
    known = {name for param in found.params for name in param.opts}
    assert options <= known, command


def _command(words: list[str]) -> tuple[Any, set[str]]:
    """The command that words lead to, and the options that they name."""
    found: Any = typer.main.get_command(program)
    while words and hasattr(found, "commands") and not words[0].startswith("-"):
        assert words[0] in found.commands, f"there is no command {words[0]!r}"
        found, words = found.commands[words[0]], words[1:]
    return found, {word.partition("=")[0] for word in words if word.startswith("--")}
