import os
import sys
import threading

import pytest

from foodscene.app.inference.affinity import Cores, keep
from foodscene.app.inference.sessions import Sessions
from foodscene.models.engine import Engine

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a thread be told where to run")


def sessions(count: int, batch: int = 1) -> Sessions:
    return Sessions(Engine, count, batch)  # type: ignore[arg-type]


@pytest.fixture
def four(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {9, 2, 4, 7}, raising=False)


@pytest.mark.usefixtures("four")
def test_sessions_and_the_rest_have_cores_of_their_own() -> None:
    cores = Cores(4)
    assert cores.of(sessions(3)) == [2, 4, 7]
    assert cores.beside(sessions(3)) == [9]
    assert cores.of(sessions(1)) == [2]
    assert cores.beside(sessions(1)) == [4, 7, 9]


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize(
    "sessions", [sessions(4), sessions(1, batch=16)], ids=["a session on every core", "batches on all cores"]
)
def test_where_every_core_is_used_the_rest_may_run_anywhere(sessions: Sessions) -> None:
    cores = Cores(4)
    assert cores.of(sessions) == cores.beside(sessions) == [2, 4, 7, 9]


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize("threads", [2, 8])
def test_a_process_that_has_other_threads_than_cores_leaves_them_alone(threads: int) -> None:
    assert Cores(threads).of(sessions(1)) == Cores(threads).beside(sessions(1)) == []


@needs_linux
def test_a_thread_is_kept_on_its_cores_and_let_go() -> None:
    usable = os.sched_getaffinity(0)
    seen = []

    def work() -> None:
        for cores in ([min(usable)], [], sorted(usable)):
            keep(0, cores)
            seen.append(os.sched_getaffinity(0))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [{min(usable)}, {min(usable)}, usable]
    assert os.sched_getaffinity(0) == usable


@needs_linux
def test_cores_that_are_not_to_be_had_are_no_error() -> None:
    usable = os.sched_getaffinity(0)
    keep(0, [100_000])
    assert os.sched_getaffinity(0) == usable
