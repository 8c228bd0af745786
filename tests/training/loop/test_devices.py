"""Trains in processes of its own: the number of devices is settled when JAX starts."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from foodscene.training.loop import devices
from foodscene.training.loop.devices import DevicesError

TRAIN = """
import json, sys
from pathlib import Path
import keras
from tests.training.loop.test_loop import colours, fit, tiny, transfer
from foodscene.training.loop import devices
# 60 photos in batches of 8: the last one, of 4, is shared too; of the 15 that validate, 7 are left for the last one.
_, result = fit(Path(sys.argv[1], "tiny"), tiny("training.batch_size=8", "training.epochs=2", "model.dropout=0.0"))
# On cached features, which are computed on all devices.
small = colours(45, 32)
_, head = fit(Path(sys.argv[1], "transfer"), transfer("training.epochs=1"), data=small, weights="none")
print(json.dumps({
    "devices": len(keras.distribution.list_devices()),
    "sharing": devices.count(),
    "losses": [row["val_loss"] for row in result.history],
    "probabilities": result.probabilities.tolist(),
    "head": head.probabilities.tolist(),
}))
"""


def train(folder: Path, count: int) -> dict[str, Any]:
    flags = f"--xla_force_host_platform_device_count={count}"
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, str(folder)],
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert result["devices"] == count
    assert result["sharing"] == 1  # once the training is over
    return result


@pytest.mark.nightly
def test_two_devices_train_as_one_does(tmp_path: Path) -> None:
    one, two = (train(tmp_path / str(count), count) for count in (1, 2))
    for key, shape in (("probabilities", (15, 3)), ("head", (10, 3))):
        assert np.shape(two[key]) == shape
        np.testing.assert_allclose(one[key], two[key], atol=0.01)
    assert two["losses"] == pytest.approx(one["losses"], rel=0.1)  # a photo that fills a batch counts twice


def test_a_batch_that_cannot_be_shared_brings_one_that_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["gpu:0", "gpu:1", "gpu:2"])
    with (
        pytest.raises(DevicesError, match=r"by 3 devices\. Try --set training\.batch_size=33"),
        devices.shared(32),
    ):
        pass


def test_one_device_takes_batches_as_they_are() -> None:
    batches = [(np.zeros((7, 2)), np.ones((7, 3)))]
    with devices.shared(7):
        assert devices.count() == 1
        assert all(one is other for one, other in zip(devices.even(batches)[0], batches[0], strict=True))
