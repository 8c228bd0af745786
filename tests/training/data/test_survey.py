import json
from hashlib import sha256
from io import BytesIO

from PIL import Image

from foodscene.training.data import parallel
from foodscene.training.data import survey as surveys
from foodscene.training.data.survey import survey
from foodscene.training.datasets import open_dataset

FOUND = {
    1: "970fdbfb1fc6e65adffcc0636eb7f81e5fa49361b4f71e683f9c8d675fbed096",
    2: "970fdbfb1fc6e65adffcc0636eb7f81e5fa49361b4f71e683f9c8d675fbed096",
    3: "027c2e413d8fc68249a3c3ca0aea2b95db341e4f1a9fbe67de675ccb2f0f4c06",
}
"""What is found of the drawn photos, by the survey's version: a new line for each, none is changed."""


def png(mode, size):
    target = BytesIO()
    Image.new(mode, size).save(target, "PNG")
    return target.getvalue()


def test_the_facts_of_every_photo(folder, photo, tmp_path):
    tree = {
        "a/1.jpg": photo(1, width=90, height=70),
        "a/2.png": png("LA", (80, 80)),
        "a/3.jpg": b"no photo",
        "a/4.jpg": photo(4, width=300, height=200)[:3000],
        "a/5.jpg": photo(5, width=40, height=40),
    }
    first, flat, text, truncated, tiny = survey(open_dataset(folder(tree)), root=tmp_path / "cache").facts
    assert first[2:] == (90, 70, "RGB", "JPEG", "")
    assert (first.content, len(first.view)) == (sha256(tree["a/1.jpg"]).digest(), 32)
    assert (flat.view, *flat[2:]) == (b"", 80, 80, "LA", "PNG", "")
    assert (tiny.view, tiny.width) == (b"", 40)
    assert "not an image" in text.broken
    assert "damaged or cut short" in truncated.broken
    assert truncated.content == sha256(tree["a/4.jpg"]).digest()


def test_it_is_made_once(folder, two_classes, tmp_path, monkeypatch):
    path = folder(two_classes)
    first = survey(open_dataset(path), root=tmp_path / "cache")
    monkeypatch.setattr(parallel, "each", None)  # nothing is read again
    again = survey(open_dataset(path), root=tmp_path / "cache")
    assert again.facts == first.facts
    assert again.groups.tolist() == first.groups.tolist()
    assert len(set(first.groups.tolist())) == len(two_classes)


def test_the_version_is_raised_when_photos_have_other_facts(folder, drawn, tmp_path):
    found = survey(open_dataset(folder(drawn)), root=tmp_path / "cache")
    assert [path.name.endswith(f"-v{surveys.VERSION}") for path in (tmp_path / "cache").glob("survey-*")] == [True]
    facts = [(fact.view.hex(), *fact[2:]) for fact in found.facts]
    digest = sha256(json.dumps([facts, found.groups.tolist()]).encode()).hexdigest()
    assert FOUND.get(surveys.VERSION) == digest, (
        "Photos have other facts than when this was written: raise survey.VERSION and add a line to FOUND."
    )
