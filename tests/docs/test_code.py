"""The documentation's Python runs; its recipes, cards and spaces are what they say they are."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from docs.generate.rest import BUNDLE, HOST
from foodscene.models.bundle import SHIPPED
from foodscene.models.card import Card
from foodscene.training.datasets import LAYOUTS, open_dataset
from foodscene.training.recipes import recipe
from foodscene.training.sweep import space
from tests.docs.blocks import Block, blocks


def _id(block: Block) -> str:
    return block.page.name


_TRAIN = ("python.md", "bundles.md")  # in tens of seconds


@pytest.mark.slow
@pytest.mark.parametrize(
    "block",
    [
        pytest.param(block, id=block.page.name, marks=pytest.mark.nightly if block.page.name in _TRAIN else ())
        for block in blocks("python")
        if block.page.name != "CONTRIBUTING.md"
    ],
)
def test_python(block: Block, sandbox: Path, request: pytest.FixtureRequest) -> None:
    for part in ("model.h5", "labels.txt"):
        shutil.copy(SHIPPED / BUNDLE / part, sandbox / part)
    address = request.getfixturevalue("url") if HOST in block.text else HOST
    done = subprocess.run(
        [sys.executable, "-c", block.text.replace(HOST, address)],
        capture_output=True,
        text=True,
        check=False,
        cwd=sandbox,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, done.stderr


def test_contributing_adds_a_layout(
    tmp_path: Path, photo: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The adapter in CONTRIBUTING reads what the test in CONTRIBUTING writes."""
    adapter, its_test = (block.text for block in blocks("python") if block.page.name == "CONTRIBUTING.md")
    made: dict[str, Any] = {"open_dataset": open_dataset}
    exec(adapter, made)
    exec(its_test, made)
    monkeypatch.setitem(LAYOUTS, "labels", (made["read"], made["NEEDS"]))

    def folder(tree: dict[str, bytes]) -> Path:
        for name, content in tree.items():
            (tmp_path / name).write_bytes(content)
        return tmp_path

    made["test_labels_come_from_the_table"](folder, photo)


@pytest.mark.parametrize("block", [block for block in blocks("toml") if block.page.name != "sweep.md"], ids=_id)
def test_recipes(block: Block, tmp_path: Path) -> None:
    """They are recipes, or parts of one that others fill up."""
    text = block.text if "extends" in block.text else f'extends = "food/basic"\n{block.text}'
    path = tmp_path / "theirs.toml"
    path.write_text(text if "title" in tomllib.loads(text) else f'title = "Theirs"\n{text}')
    assert recipe.load(path).name == "theirs"


def test_space(tmp_path: Path) -> None:
    (block,) = [block for block in blocks("toml") if block.page.name == "sweep.md"]
    (tmp_path / "space.toml").write_text(block.text)
    assert space.read_space(tmp_path / "space.toml").space


@pytest.mark.parametrize("block", [block for block in blocks("json") if block.page.name == "bundles.md"], ids=_id)
def test_cards(block: Block) -> None:
    said = json.loads(block.text)
    card = Card.model_validate(said)
    assert card.model_dump(include=set(said), exclude_unset=True) == said
