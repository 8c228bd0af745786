import numpy as np
import pytest

from foodscene.training.augmentation import outlier_exposure


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(20, 17, 3), (9, 9, 1), (3, 4, 3)])
def test_pictures_of_nothing_stand_behind_the_photos_with_every_label_alike(
    dtype: type, shape: tuple[int, int, int]
) -> None:
    photos = np.random.default_rng(0).integers(0, 256, (30, *shape)).astype(dtype)
    labels = np.eye(5, dtype=np.float32)[np.arange(30) % 5]
    more, targets = outlier_exposure.add(photos, labels, 1.7, np.random.default_rng(1))
    assert more.shape == (30 + 51, *shape)
    assert more.dtype == dtype
    assert (more[:30] == photos).all()
    assert (targets[:30] == labels).all()
    assert (targets[30:] == np.float32(0.2)).all()
    strange = more[30:]
    assert strange.min() >= 0
    assert strange.max() <= 255
    assert len(np.unique(strange.reshape(51, -1), axis=0)) > 45, "each is another one"


def test_a_small_share_of_a_small_batch_is_one() -> None:
    more, _ = outlier_exposure.add(
        np.zeros((3, 8, 8, 3), np.uint8), np.eye(3, dtype=np.float32), 0.05, np.random.default_rng()
    )
    assert len(more) == 4


def test_the_same_draws_make_the_same_pictures() -> None:
    photos, labels = np.random.default_rng(0).integers(0, 256, (8, 12, 12, 3), dtype=np.uint8), np.eye(8, dtype="f4")
    first, again = (outlier_exposure.add(photos, labels, 4, np.random.default_rng(5))[0] for _ in range(2))
    assert (first == again).all()
