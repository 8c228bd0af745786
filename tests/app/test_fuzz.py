"""A small part of what `python -m benchmarks.fuzz` does at length, and OpenAPI against what is answered."""

import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from benchmarks.fuzz import forms, mutations, originals

pytestmark = pytest.mark.slow

UPLOADS = 400


@pytest.mark.slow
def test_damaged_photos_are_told_from_good_ones(client: TestClient, photo: Callable[..., bytes]) -> None:
    chance = random.Random(1)
    statuses: Counter[int] = Counter()
    for upload in islice(mutations(originals([photo(1), photo(2)]), seed=1), UPLOADS):
        body, headers = forms(upload, chance)
        answer = client.post("/api/v1/predict", content=body, headers=headers)
        assert answer.status_code in (200, 400, 413, 415, 422), (answer.text, upload[:200])
        kind = "application/json" if answer.status_code == 200 else "application/problem+json"
        assert answer.headers["content-type"] == kind
        statuses[answer.status_code] += 1
    assert {200, 400, 415, 422} <= set(statuses)
    assert client.app.state.service.uploads.held == 0
    assert client.app.state.service.scheduler.depth == 0


@pytest.mark.slow
def test_every_format_and_mode_that_pillow_writes_is_answered(client: TestClient, photo: Callable[..., bytes]) -> None:
    statuses = Counter(client.post("/models/colours", content=one).status_code for one in originals([photo(1)]))
    assert set(statuses) == {200, 415}
    assert statuses[200] > 60


@pytest.mark.slow
def test_answers_are_as_openapi_says(serve: Callable[..., Any], tmp_path: Path) -> None:
    server = serve(FOODSCENE_FEEDBACK=str(tmp_path / "feedback"))
    # Not whether bad input is refused and good input taken: OpenAPI cannot say what a photo is.
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{server.url}/openapi.json"]
    command += ["--checks", checks, "--max-examples", "10", "--seed", "1", "--phases", "examples,coverage,fuzzing"]
    result = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert result.returncode == 0, result.stdout
    assert re.search(r"Tested: +[1-9]\d", result.stdout), result.stdout
