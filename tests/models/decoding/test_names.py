import pytest

from foodscene.models.decoding.names import hidden


@pytest.mark.parametrize(
    "name",
    [
        ".DS_Store",
        "a/._1.jpg",
        "__MACOSX/a/1.jpg",
        "a/Thumbs.db",
        "a/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg",
        "#recycle/a/1.jpg",
        "$RECYCLE.BIN/1.jpg",
        "System Volume Information/1.jpg",
        "a/.ipynb_checkpoints/1-checkpoint.jpg",
    ],
)
def test_what_systems_leave_beside_photos(name):
    assert hidden(name)


@pytest.mark.parametrize("name", ["a/1.jpg", "thumbs/1.jpg", "./a/1.jpg", "recycle bin/1.jpg"])
def test_photos_are_not_hidden(name):
    assert not hidden(name)
