from io import BytesIO

import numpy as np
from PIL import Image
from starlette.testclient import TestClient


def test_the_part_that_decided_is_the_hottest(client: TestClient) -> None:
    pixels = np.full((64, 64, 3), 90, np.uint8)
    pixels[:20, 40:] = (255, 0, 0)  # top right
    target = BytesIO()
    Image.fromarray(pixels).save(target, "PNG")
    answer = client.post("/api/v1/explain", files={"file": target.getvalue()}).json()
    grid = np.array(answer["grid"])
    assert (answer["label"], answer["area"]) == ("red", [0, 0, 1, 1])
    assert grid.shape == (10, 10)
    assert (grid.min(), grid.max()) == (0, 1)
    row, column = np.unravel_index(grid.argmax(), grid.shape)
    assert row < 4
    assert column > 5
    assert answer["strongest"] > 0.01


def test_any_label_can_be_explained_but_no_made_up_one(client: TestClient, red: bytes) -> None:
    answer = client.post("/api/v1/explain", files={"file": red}, data={"label": "blue"})
    assert answer.json()["label"] == "blue"
    assert client.post("/api/v1/explain", files={"file": red}, data={"label": "pink"}).status_code == 422


def test_a_photo_that_cannot_be_read_is_refused_as_for_predict(client: TestClient) -> None:
    assert client.post("/api/v1/explain", files={"file": b"nothing"}).status_code == 415
