"""Where the service listens: one port at every address of a host, or a sentence on why not."""

import errno
import socket
from contextlib import ExitStack

import pytest

from foodscene.app.server import run
from foodscene.app.settings import SettingsError


def test_a_free_port_is_found_and_shown() -> None:
    with ExitStack() as stack:
        sockets = [stack.enter_context(one) for one in run.bind("127.0.0.1", 0)]
        port = sockets[0].getsockname()[1]
        assert port > 0
        assert run.shown("127.0.0.1", sockets) == f"http://127.0.0.1:{port}"
        assert run.shown("::1", sockets) == f"http://[::1]:{port}"


def test_all_addresses_of_a_name_have_one_port() -> None:
    with ExitStack() as stack:
        sockets = [stack.enter_context(one) for one in run.bind("localhost", 0)]
        assert len({one.getsockname()[1] for one in sockets}) == 1


@pytest.mark.parametrize("listens", [True, False])
def test_a_port_that_is_taken_is_said_with_the_way_out(listens: bool) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        if listens:
            other.listen()
        port = other.getsockname()[1]
        with pytest.raises(SettingsError, match=f"Another program listens at 127.0.0.1, port {port}.*--port"):
            run.bind("127.0.0.1", port)


def test_a_second_service_is_refused_before_the_first_has_started() -> None:
    with run.bind("127.0.0.1", 0)[0] as first, pytest.raises(SettingsError, match="Another program"):
        run.bind("127.0.0.1", first.getsockname()[1])


@pytest.mark.parametrize("host", ["203.0.113.7", "no such host", "300.1.1.1"])
def test_what_is_no_address_of_this_machine_is_said(host: str) -> None:
    with pytest.raises(SettingsError, match=f"{host} is no address to listen on here.*--host"):
        run.bind(host, 0)


def test_a_port_of_the_system_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> socket.socket:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(run, "_listening", refuse)
    with pytest.raises(SettingsError, match="ports below 1024"):
        run.bind("127.0.0.1", 80)
