import pytest

from foodscene.training.datasets import open_dataset


def tree(photo, doubled):
    within = (
        {"train": "seg_train/seg_train", "test": "seg_test/seg_test", "pred": "seg_pred/seg_pred"}
        if doubled
        else {"train": "seg_train", "test": "seg_test", "pred": "seg_pred"}
    )
    return {
        f"{within['train']}/sea/1.jpg": photo(1),
        f"{within['train']}/forest/2.jpg": photo(2),
        f"{within['test']}/sea/3.jpg": photo(3),
        f"{within['pred']}/4.jpg": photo(4),
    }


@pytest.mark.parametrize("doubled", [True, False])
@pytest.mark.parametrize("top", ["", "intel/"])
def test_the_folders_are_its_splits_and_classes(zipped, photo, doubled, top):
    files = {top + name: content for name, content in tree(photo, doubled).items()}
    dataset = open_dataset(zipped(files))
    assert (dataset.layout, dataset.classes) == ("intel", ("forest", "sea"))
    found = {sample.name[-5]: (sample.label, sample.split) for sample in dataset.samples}
    assert found == {"1": (1, "train"), "2": (0, "train"), "3": (1, "test"), "4": (None, None)}


def test_the_real_archive(data):
    dataset = open_dataset(data / "intel-image-classification.zip")
    assert dataset.layout == "intel"
    assert dataset.classes == ("buildings", "forest", "glacier", "mountain", "sea", "street")
    splits = [sample.split for sample in dataset.samples]
    assert (splits.count("train"), splits.count("test"), len(splits)) == (8741, 1047, 9788)
    for sample in dataset.samples[::500]:
        assert f"/{dataset.classes[sample.label]}/" in sample.name
