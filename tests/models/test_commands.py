"""The commands that look at bundles and ask them."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from foodscene.cli import program
from foodscene.models.bundle import BundleError


@pytest.fixture
def red(tmp_path: Path) -> Path:
    Image.new("RGB", (60, 40), (220, 10, 10)).save(tmp_path / "red.jpg")
    return tmp_path / "red.jpg"


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(program, arguments)
    return result.exit_code, result.output


def test_predict_prints_labels_and_probabilities(toy_bundle: Path, red: Path) -> None:
    code, output = run("predict", str(red), "--models", str(toy_bundle))
    assert code == 0
    first = output.splitlines()[1].split()
    assert first[0] == "red"
    assert float(first[1].rstrip("%")) > 90


def test_predict_for_programs_goes_on_after_a_bad_photo(toy_bundle: Path, red: Path) -> None:
    (red.parent / "notes.txt").write_text("no photo")
    code, output = run(
        "predict",
        str(red.parent / "notes.txt"),
        str(red.parent / "absent.jpg"),
        str(red),
        "--models",
        str(toy_bundle),
        "--json",
    )
    assert code == 1
    bad, absent, good = map(json.loads, output.splitlines())
    assert "not an image" in bad["error"]
    assert absent == {"photo": str(red.parent / "absent.jpg"), "error": "There is no such file."}
    assert good["predictions"][0]["label"] == "red"
    assert len(good["predictions"]) == 3


def test_models_lists_the_usable_and_the_broken(toy_bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(toy_bundle / "colours", tmp_path / "colours")
    shutil.copytree(toy_bundle / "colours", tmp_path / "broken")
    (tmp_path / "broken" / "model.h5").write_bytes(b"junk")
    code, output = run("models", "--models", str(tmp_path))
    assert code == 0
    assert "Colours" in output
    assert "cannot be used" in output
    code, output = run("models", "--models", str(tmp_path), "--json")
    broken, colours = json.loads(output)
    assert broken["name"] == "broken"
    assert "error" in broken
    assert colours["labels"] == ["red", "green", "blue"]


def test_compile_writes_a_file_that_the_service_does_without(toy_bundle: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(toy_bundle / "colours", tmp_path / "colours"))
    code, output = run("compile", str(folder))
    assert code == 0
    assert (folder / "model.onnx").is_file()
    assert "metadata" in output
    _, output = run("models", "--models", str(tmp_path))
    assert "model.onnx is not used" in " ".join(output.split())


def test_commands_agree_on_what_cannot_be_used(toy_bundle: Path, tmp_path: Path, red: Path) -> None:
    folder = Path(shutil.copytree(toy_bundle / "colours", tmp_path / "bundles" / "colours"))
    (folder / "labels.txt").unlink()
    said = "write one with 3 lines"
    assert said in " ".join(run("models", "--models", str(tmp_path / "bundles"))[1].split())
    for command in (["compile", str(folder)], ["predict", str(red), "--model", str(folder)]):
        result = CliRunner().invoke(program, command)
        assert isinstance(result.exception, BundleError)
        assert said in str(result.exception)


def test_predict_says_what_a_photo_may_be_that_is_not_known(fallback_bundles: Path, tmp_path: Path) -> None:
    Image.new("RGB", (60, 40), "yellow").save(tmp_path / "yellow.png")
    asked = ("predict", str(tmp_path / "yellow.png"), "--models", str(fallback_bundles), "--model", "colours")
    assert "This is nothing that it knows. Perhaps a yellow? The nearest labels:" in run(*asked)[1]
    answer = json.loads(run(*asked, "--json")[1])
    assert (answer["known"], answer["fallback"]["label"], answer["sure"]) == (False, "yellow", False)
    folder = ("predict", str(tmp_path), "--models", str(fallback_bundles), "--model", "colours")
    assert "yellow.png  nothing that it knows; perhaps a yellow" in run(*folder)[1]
    assert json.loads(run(*folder, "--json")[1])["fallback"] == answer["fallback"]


def test_models_says_which_fallback_is_lacking(fallback_bundles: Path, tmp_path: Path) -> None:
    assert "goes without its fallback" not in run("models", "--models", str(fallback_bundles))[1]
    (whole,) = (
        one["fallback"] for one in json.loads(run("models", "--models", str(fallback_bundles), "--json")[1])[:1]
    )
    assert whole == {"bundle": "things", "lacking": None}
    shutil.copytree(fallback_bundles / "colours", tmp_path / "colours")
    said = run("models", "--models", str(tmp_path))[1]
    assert "colours goes without its fallback, by familiarity alone: There is no things beside colours" in said
    (alone,) = json.loads(run("models", "--models", str(tmp_path), "--json")[1])
    assert "There is no things beside colours" in alone["fallback"]["lacking"]


def test_predict_reads_standard_input_and_says_what_is_not_there(toy_bundle: Path, red: Path) -> None:
    command = ["predict", "-", "nothing.jpg", "--models", str(toy_bundle), "--json"]
    result = CliRunner().invoke(program, command, input=red.read_bytes())
    given, absent = map(json.loads, result.output.splitlines())
    assert (given["photo"], given["predictions"][0]["label"]) == ("-", "red")
    assert absent == {"photo": "nothing.jpg", "error": "There is no such file."}
    assert result.exit_code == 1
