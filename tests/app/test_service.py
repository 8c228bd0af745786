import gc
import tracemalloc

import pytest
from starlette.testclient import TestClient

from foodscene.app.problems import Problem
from foodscene.app.service import Service


@pytest.mark.parametrize(
    ("begins", "kind"),
    [
        (b"", "unsupported-photo"),
        (b"\xff\xd8\xff\xe0", "broken-upload"),
        (b"\x89PNG\r\n\x1a\n", "broken-upload"),
    ],
)
def test_a_refused_photo_is_not_kept(client: TestClient, begins: bytes, kind: str) -> None:
    service: Service = client.app.state.service  # type: ignore[attr-defined]
    megabytes = 8

    async def refuse() -> str:
        try:
            await service.predict(begins + bytes(megabytes << 20), service.registry.get(None))
        except Problem as problem:
            return problem.kind
        return ""

    assert client.portal
    gc.collect()
    gc.disable()  # what only the collector frees is held for a while
    tracemalloc.start()
    try:
        for _ in range(5):
            assert client.portal.call(refuse) == kind
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert held < 2 * megabytes << 20  # the thread that decoded the last one may not have let go of it yet
