import numpy as np
import pytest

from foodscene.training.augmentation.mixup import mix


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_photos_and_labels_are_mixed_in_the_same_shares(dtype: type, channels: int) -> None:
    # Photo i is of brightness 10 i all over, and of class i: the labels tell what the mixture's brightness must be.
    count = 20
    photos = np.broadcast_to(np.arange(count)[:, None, None, None] * 10, (count, 6, 5, channels)).astype(dtype)
    mixed, labels = mix(photos, np.eye(count, dtype=np.float32), 0.4, np.random.default_rng(1))
    assert mixed.dtype == dtype
    assert mixed.shape == photos.shape
    assert np.allclose(mixed.mean((1, 2, 3)), labels @ (np.arange(count) * 10), atol=0.51)
    assert np.allclose(labels.sum(1), 1)
    assert (labels.argmax(1) == np.arange(count)).all(), "a photo's own label keeps the greater share"
    assert ((labels > 0).sum(1) == 2).sum() > count / 2


def test_a_higher_alpha_mixes_more() -> None:
    photos, labels = np.zeros((500, 2, 2, 3), np.uint8), np.eye(500, dtype=np.float32)
    own = [mix(photos, labels, alpha, np.random.default_rng(0))[1].max(1).mean() for alpha in (0.1, 0.5, 2.0)]
    assert own[0] > own[1] > own[2] > 0.5


def test_what_was_given_stays_as_it_was() -> None:
    photos = np.random.default_rng(0).integers(0, 256, (8, 4, 4, 3), dtype=np.uint8)
    before = photos.copy()
    mix(photos, np.eye(8, dtype=np.float32), 1.0, np.random.default_rng(0))
    assert (photos == before).all()
